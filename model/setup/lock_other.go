//go:build !unix

package main

import (
	"context"
	"errors"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

func lockFolder(context.Context, string, progress.Printer) (func() error, error) {
	return nil, errors.ErrUnsupported
}
