package caption

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Chunk]())
	register.DoFn2x1[[]byte, func(Chunk), error](&readPlan{})
	register.Emitter1[Chunk]()
}

// Chunk is the pictures of one element.
type Chunk struct {
	// Index is the chunk's place in the plan, from 0.
	Index int `json:"index"`
	// Identity names the pictures, what is known of their content, the settings
	// and the model.
	Identity string `json:"identity"`
	// Inputs are the pictures.
	Inputs []dataset.Input `json:"inputs"`
}

// Plan is an input cut into chunks.
type Plan struct {
	// Chunks are in the order of the input.
	Chunks []Chunk
	// Identity names the whole input, the settings and the model. It does not
	// depend on the size of the chunks.
	Identity string
	// Total is the number of pictures.
	Total int
}

// DefaultChunkSize is the number of pictures in a chunk where nothing sets it.
const DefaultChunkSize = 256

// NewPlan cuts inputs into chunks of size pictures, 0 meaning DefaultChunkSize.
// Key is what else decides the captions: the settings' hash and the model's
// identity.
func NewPlan(inputs []dataset.Input, size int, key ...string) Plan {
	if size <= 0 {
		size = DefaultChunkSize
	}
	marks := stamps(inputs)
	p := Plan{Total: len(inputs), Identity: records.Fingerprint([]any{inputs, marks, key})}
	for from := 0; from < len(inputs); from += size {
		to := min(from+size, len(inputs))
		p.Chunks = append(p.Chunks, Chunk{
			Index:    len(p.Chunks),
			Identity: records.Fingerprint([]any{inputs[from:to], marks[from:to], key}),
			Inputs:   inputs[from:to],
		})
	}
	return p
}

// stamps are what is known of the files without reading them.
func stamps(inputs []dataset.Input) []string {
	marks := make([]string, len(inputs))
	const workers = 16 // a network file system answers them side by side
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(inputs); i += workers {
				marks[i] = stamp(inputs[i].URI)
			}
		})
	}
	wg.Wait()
	return marks
}

func stamp(uri string) string {
	path, err := dataset.DecodeName(uri)
	if err != nil {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}

// Write stores the plan's chunks in a file, a line each, so that a plan of any
// size travels to workers as a path.
func (p Plan) Write(path string) error {
	return records.WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for i := range p.Chunks {
			if err := enc.Encode(&p.Chunks[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Chunks gives the chunks of a plan file, in any order and spread over workers.
func Chunks(s beam.Scope, path string) beam.PCollection {
	s = s.Scope("caption.Chunks")
	return beam.Reshuffle(s, beam.ParDo(s, &readPlan{Path: path}, beam.Impulse(s)))
}

type readPlan struct {
	Path string
}

// ProcessElement emits the file's chunks.
func (fn *readPlan) ProcessElement(_ []byte, emit func(Chunk)) error {
	f, err := os.Open(fn.Path)
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	defer f.Close() // only read
	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var c Chunk
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read plan %s: %w", fn.Path, err)
		}
		emit(c)
	}
}
