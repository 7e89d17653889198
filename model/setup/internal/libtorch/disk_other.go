//go:build !unix

package libtorch

import "errors"

func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
