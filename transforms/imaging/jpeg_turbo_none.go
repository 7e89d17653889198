//go:build !((darwin || freebsd || linux || netbsd) && (amd64 || arm64))

package imaging

import (
	"errors"
	"runtime"
)

const (
	turboRGB  = 0
	turboCMYK = 11
)

type turboLib struct{}

func turbo() (*turboLib, error) {
	return nil, errors.New("libjpeg-turbo is not loaded on " + runtime.GOOS + "/" + runtime.GOARCH)
}

func (*turboLib) decode(_, _ []byte, _, _, _, _ int) error {
	_, err := turbo()
	return err
}
