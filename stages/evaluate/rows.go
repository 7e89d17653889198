package evaluate

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/records"
)

// Row is a picture with its caption, its references and its scores, which are
// null where a metric was left out. BLEU is that of the picture as a set of its
// own.
type Row struct {
	ImageID    string   `parquet:"image_id" json:"image_id"`
	Domain     string   `parquet:"domain,optional" json:"domain,omitempty"`
	Caption    string   `parquet:"caption" json:"caption"`
	References []string `parquet:"references,list" json:"references"`

	Bleu1  *float64 `parquet:"Bleu_1,optional" json:"Bleu_1"`
	Bleu2  *float64 `parquet:"Bleu_2,optional" json:"Bleu_2"`
	Bleu3  *float64 `parquet:"Bleu_3,optional" json:"Bleu_3"`
	Bleu4  *float64 `parquet:"Bleu_4,optional" json:"Bleu_4"`
	METEOR *float64 `parquet:"METEOR,optional" json:"METEOR"`
	RougeL *float64 `parquet:"ROUGE_L,optional" json:"ROUGE_L"`
	CIDEr  *float64 `parquet:"CIDEr,optional" json:"CIDEr"`
	SPICE  *float64 `parquet:"SPICE,optional" json:"SPICE"`
}

func rowOf(p placed, one metrics.Statistics) Row {
	s := one.Scores()
	known := func(v metrics.Value) *float64 {
		if !v.Known {
			return nil
		}
		return &v.Score
	}
	return Row{
		ImageID: p.ID, Domain: p.Domain, Caption: p.Prediction, References: p.References,
		Bleu1: known(s.Bleu1), Bleu2: known(s.Bleu2), Bleu3: known(s.Bleu3), Bleu4: known(s.Bleu4), METEOR: known(s.METEOR),
		RougeL: known(s.RougeL), CIDEr: known(s.CIDEr), SPICE: known(s.SPICE),
	}
}

// writeRows writes a part, in JSON lines.
func writeRows(w io.Writer, rows []Row) error {
	enc := json.NewEncoder(w)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// readRows goes through parts, each a chunk's name, a tab and a path, in the order
// of the names.
func readRows(parts []string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, p := range slices.Sorted(slices.Values(parts)) {
			path := p[strings.LastIndexByte(p, '\t')+1:]
			if err := readPartRows(path, func(r Row) bool { return yield(r, nil) }); err != nil {
				if !errors.Is(err, errEnough) {
					yield(Row{}, fmt.Errorf("scores of pictures: %w", err))
				}
				return
			}
		}
	}
}

// errEnough ends reading where the reader has had enough.
var errEnough = errors.New("enough")

func readPartRows(path string, yield func(Row) bool) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	dec := json.NewDecoder(bufio.NewReader(f))
	for {
		var r Row
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !yield(r) {
			return errEnough
		}
	}
}

// writePerImage writes the rows of all parts to a file, Parquet by its name or CSV.
func writePerImage(path string, parts []string) error {
	write := writeCSV
	if strings.EqualFold(filepath.Ext(path), ".parquet") {
		write = writeParquet
	}
	return records.WriteFile(path, func(w io.Writer) error { return write(w, readRows(parts)) })
}

func writeParquet(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := parquet.NewGenericWriter[Row](w, parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}))
	for r, err := range rows {
		if err == nil {
			_, err = out.Write([]Row{r})
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}

// csvColumns are the names in the first line. References are a JSON list.
var csvColumns = []string{"image_id", "domain", "caption", "references", "Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "SPICE"}

func writeCSV(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvColumns); err != nil {
		return err
	}
	for r, err := range rows {
		if err != nil {
			return err
		}
		references, err := json.Marshal(r.References)
		if err != nil {
			return err
		}
		line := []string{r.ImageID, r.Domain, r.Caption, string(references)}
		for _, v := range []*float64{r.Bleu1, r.Bleu2, r.Bleu3, r.Bleu4, r.METEOR, r.RougeL, r.CIDEr, r.SPICE} {
			line = append(line, number(v))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func number(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
