package records

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// OpenParquet opens a Parquet file of any schema, which is of the given size, after
// a look at what the library would take on trust. Its errors wrap ErrMalformed, or
// are those of in.
//
// The library panics on many kinds of malformed pages, too; whoever reads on
// defers [RecoverMalformed].
func OpenParquet(in io.ReaderAt, size int64) (file *parquet.File, err error) {
	defer RecoverMalformed(&err)
	if err := checkFrame(in, size); err != nil {
		return nil, err
	}
	file, err = parquet.OpenFile(in, size,
		// Async reads would panic on a goroutine of the library's own, where
		// nothing can recover.
		parquet.FileReadMode(parquet.ReadModeSync),
		parquet.SkipBloomFilters(true),
		parquet.SkipPageIndex(true),
	)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return file, checkExtents(file, size)
}

// RecoverMalformed turns a panic of the Parquet library into an error. It is to be
// deferred.
func RecoverMalformed(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrMalformed, p)
	}
}
