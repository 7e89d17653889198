package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

const goldenDir = "../../testdata/golden/text"

// goldenFolders are the tokenizer folders that testdata/text.py wrote and
// tokenized its corpus with. Ids and texts have to be equal: no tolerance.
var goldenFolders = []string{"uncased", "cased", "accents", "legacy"}

// goldenFS reads a folder of the golden files, unpacking what ends in .gz.
func goldenFS(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	dir := filepath.Join(goldenDir, name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data := readGolden(t, filepath.Join(dir, e.Name()))
		files[strings.TrimSuffix(e.Name(), ".gz")] = &fstest.MapFile{Data: data}
	}
	return files
}

func readGolden(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func goldenTokenizer(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := LoadFS(goldenFS(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// goldenRow is a line of a golden file: a text and its ids, or loose ids.
type goldenRow struct {
	Text    string  `json:"text"`
	IDs     []int32 `json:"ids"`
	Max     int     `json:"max"`
	Cut     []int32 `json:"cut"`
	Loose   []int32 `json:"loose"`
	Decoded string  `json:"decoded"`
	Kept    string  `json:"kept"`
	Tidied  string  `json:"tidied"`
}

func goldenRows(t testing.TB, name string) []goldenRow {
	t.Helper()
	var rows []goldenRow
	lines := bufio.NewScanner(bytes.NewReader(readGolden(t, filepath.Join(goldenDir, name+".jsonl.gz"))))
	for lines.Scan() {
		var row goldenRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows
}

func TestGoldenEncode(t *testing.T) {
	for _, name := range goldenFolders {
		t.Run(name, func(t *testing.T) {
			tok := goldenTokenizer(t, name)
			ids := tok.IDs()
			for _, row := range goldenRows(t, name) {
				if row.Loose != nil {
					continue
				}
				if got := tok.Encode(row.Text); !slices.Equal(got, row.IDs) {
					t.Errorf("Encode(%+q) = %v, want %v", row.Text, got, row.IDs)
				}
				whole := slices.Concat([]int32{ids.Class}, row.IDs, []int32{ids.Separator})
				if got := tok.EncodeWithSpecials(row.Text, 0); !slices.Equal(got, whole) {
					t.Errorf("EncodeWithSpecials(%+q, 0) = %v, want %v", row.Text, got, whole)
				}
				if row.Cut == nil {
					continue
				}
				if got := tok.EncodeWithSpecials(row.Text, row.Max); !slices.Equal(got, row.Cut) {
					t.Errorf("EncodeWithSpecials(%+q, %d) = %v, want %v", row.Text, row.Max, got, row.Cut)
				}
			}
		})
	}
}

func TestGoldenDecode(t *testing.T) {
	for _, name := range goldenFolders {
		t.Run(name, func(t *testing.T) {
			tok := goldenTokenizer(t, name)
			for _, row := range goldenRows(t, name) {
				if row.Loose == nil {
					if got := tok.Decode(tok.EncodeWithSpecials(row.Text, 0), DecodeOptions{}); got != row.Decoded {
						t.Errorf("%+q: decoded %+q, want %+q", row.Text, got, row.Decoded)
					}
					continue
				}
				for _, c := range []struct {
					o    DecodeOptions
					want string
				}{
					{DecodeOptions{}, row.Decoded},
					{DecodeOptions{KeepSpecial: true, Tidy: TidyOff}, row.Kept},
					{DecodeOptions{Tidy: TidyOn}, row.Tidied},
				} {
					if got := tok.Decode(row.Loose, c.o); got != c.want {
						t.Errorf("Decode(%v, %+v) = %+q, want %+q", row.Loose, c.o, got, c.want)
					}
				}
			}
		})
	}
}

// TestEveryCodePoint compares what becomes of each of the 1,112,064 characters,
// with a capital before it and an accent after, block by block.
func TestEveryCodePoint(t *testing.T) {
	var want map[string]map[string]string
	if err := json.Unmarshal(readGolden(t, filepath.Join(goldenDir, "codepoints.json")), &want); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"uncased":  {},
		"cased":    {KeepCase: true},
		"accents":  {Accents: AccentsKept, JoinCJK: true},
		"stripped": {KeepCase: true, Accents: AccentsDropped},
	} {
		tok, err := New([]string{"[UNK]"}, o)
		if err != nil {
			t.Fatal(err)
		}
		for block := range 0x110 {
			got, ok := blockHash(tok, rune(block)<<12)
			key := fmt.Sprintf("%03x", block)
			if ok && want[name][key] != got {
				t.Errorf("%s: code points %s000 to %sfff: hash %s, want %s", name, key, key, got, want[name][key])
			}
		}
	}
}

func blockHash(tok *Tokenizer, from rune) (string, bool) {
	if from >= 0xd800 && from < 0xe000 && from+0xfff < 0xe000 {
		return "", false // surrogates only
	}
	h := sha256.New()
	var text, normal, line []byte
	for c := from; c < from+0x1000; c++ {
		if c >= 0xd800 && c < 0xe000 {
			continue
		}
		text = append(utf8.AppendRune(append(text[:0], "xA"...), c), "\u0301"...)
		text = append(utf8.AppendRune(text, c), 'B')
		normal, line = tok.normalize(normal[:0], string(text)), line[:0]
		for w := range wordsOf(normal) {
			line = append(append(line, w...), 0x1f)
		}
		line[len(line)-1] = '\n'
		h.Write(line)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], true
}
