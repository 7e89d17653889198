package records

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// checkColumns refuses a file whose columns are not those of an example: the
// library would read a missing one as zeros.
func checkColumns(file *parquet.File, format PixelFormat) error {
	want := parquet.SchemaOf(uint8Row{})
	if format == Float32 {
		want = parquet.SchemaOf(float32Row{})
	}
	got := file.Schema()
	for _, path := range want.Columns() {
		w, _ := want.Lookup(path...)
		g, ok := got.Lookup(path...)
		switch {
		case !ok:
			return fmt.Errorf("%w: no column %v", ErrNotExamples, path)
		case g.Node.Type().Kind() != w.Node.Type().Kind(),
			g.MaxRepetitionLevel != w.MaxRepetitionLevel,
			g.MaxDefinitionLevel != w.MaxDefinitionLevel:
			return fmt.Errorf("%w: column %v is %s, want %s", ErrNotExamples, path, g.Node, w.Node)
		}
	}
	return nil
}

// checkExtents refuses a footer that points outside the file or whose counts
// contradict each other.
func checkExtents(file *parquet.File, size int64) error {
	var rows int64
	for i, g := range file.Metadata().RowGroups {
		if g.NumRows < 0 {
			return fmt.Errorf("%w: row group %d has %d rows", ErrMalformed, i, g.NumRows)
		}
		rows += g.NumRows
		for j := range g.Columns {
			m := &g.Columns[j].MetaData
			start := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				start = min(start, m.DictionaryPageOffset)
			}
			if start < 4 || m.TotalCompressedSize < 0 || start > size || m.TotalCompressedSize > size-start {
				return fmt.Errorf("%w: row group %d, column %d lies outside the file", ErrMalformed, i, j)
			}
		}
	}
	if rows != file.NumRows() {
		return fmt.Errorf("%w: %d rows in its row groups, %d in its footer", ErrMalformed, rows, file.NumRows())
	}
	return nil
}
