package evaluate

import (
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
	if err := meteor.Check(folder); err != nil {
		return "", err
	}
	return folder, nil
}

// tables are METEOR's, which this process reads once.
var tables struct {
	sync.Mutex
	folder string
	read   *meteor.Tables
}

// options are what the package metrics is to compute. Where METEOR's tables cannot
// be read, it is left out, and the notes say so.
func (c Config) options() (o metrics.Options, said notes) {
	if c.Meteor == "" {
		return o, said
	}
	tables.Lock()
	defer tables.Unlock()
	if tables.read == nil || tables.folder != c.Meteor {
		read, err := meteor.Open(c.Meteor)
		if err != nil {
			said.Warnings = append(said.Warnings, "METEOR is null: "+err.Error())
			return o, said
		}
		tables.folder, tables.read = c.Meteor, read
	}
	o.Meteor = tables.read
	return o, said
}
