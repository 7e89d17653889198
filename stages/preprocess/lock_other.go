//go:build !unix

package preprocess

// lock does nothing where there is no flock.
type lock struct{}

func takeLock(string) (*lock, error) { return &lock{}, nil }

func (l *lock) release() error { return nil }
