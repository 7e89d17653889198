package preprocess

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn2x1[string, func(string), error](&filesFn{})
	register.Emitter1[string]()
}

// Files lists a split's shards: data is a collection of one string, the folder
// that Run gives; the result has the path of each shard.
func Files(s beam.Scope, split string, data beam.PCollection) beam.PCollection {
	s = s.Scope("preprocess.Files")
	return beam.ParDo(s, &filesFn{Split: split}, data)
}

type filesFn struct {
	Split string
}

// ProcessElement emits the paths.
func (fn *filesFn) ProcessElement(dir string, emit func(string)) error {
	m, err := ReadManifest(dir)
	if err != nil {
		return fmt.Errorf("list the %s shards: %w", fn.Split, err)
	}
	for _, path := range m.Files(fn.Split) {
		emit(path)
	}
	return nil
}
