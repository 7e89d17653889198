package evaluate

import (
	"fmt"
	"sync"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/meteor"
)

// FindMeteor finds the folder of METEOR's tables that make setup has fetched, or
// says what to do.
func FindMeteor() (string, error) {
	folder, err := meteor.Folder()
	if err != nil {
		return "", err
	}
	return folder, meteor.Check(folder)
}

// tables are METEOR's, which this process reads once.
var tables struct {
	sync.Mutex
	folder string
	read   *meteor.Tables
}

// options are what the package metrics is to compute.
func (c Config) options() (metrics.Options, error) {
	if c.Meteor == "" {
		return metrics.Options{}, nil
	}
	tables.Lock()
	defer tables.Unlock()
	if tables.read == nil || tables.folder != c.Meteor {
		read, err := meteor.Open(c.Meteor)
		if err != nil {
			return metrics.Options{}, fmt.Errorf("score: %w", err)
		}
		tables.folder, tables.read = c.Meteor, read
	}
	return metrics.Options{Meteor: tables.read}, nil
}
