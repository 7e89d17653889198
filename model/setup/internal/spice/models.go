package spice

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// modelsFolder is where CoreNLP's models are in their jar.
const modelsFolder = "edu/stanford/nlp/models/"

// kept are the models that SPICE's annotators (tokenize, ssplit, parse, lemma,
// ner) read. The lists of dcoref are the named entities' for numbers.
var kept = []string{
	modelsFolder + "lexparser/englishPCFG.ser.gz",
	modelsFolder + "ner/",
	modelsFolder + "sutime/",
	modelsFolder + "dcoref/",
}

// reduce writes the jar of models anew with what SPICE reads, without packing
// anything again.
func reduce(from, to string) (err error) {
	in, err := zip.OpenReader(from)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(from), err)
	}
	defer in.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := zip.NewWriter(file)
	for _, prefix := range kept {
		n := 0
		for _, f := range in.File {
			if !strings.HasPrefix(f.Name, prefix) || strings.HasSuffix(f.Name, "/") {
				continue
			}
			if err := out.Copy(f); err != nil {
				return fmt.Errorf("take %s: %w", f.Name, err)
			}
			n++
		}
		if n == 0 {
			return fmt.Errorf("%s has no %s", filepath.Base(from), prefix)
		}
	}
	return out.Close()
}
