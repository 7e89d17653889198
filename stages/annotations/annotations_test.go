package annotations

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	text := func(s string) *string { return &s }
	tests := []struct {
		name, file string
		want       File
		karpathy   bool
	}{
		{
			"COCO", "\ufeff" + ` {"info":{"x":[1,{"y":null}]},"annotations":[{"image_id":7,"id":1,"caption":"a"},{"image_id":"b","caption":null}],
			"images":[{"id":7.0,"file_name":"7.jpg","coco_url":"http://x/7.jpg","width":4},{"id":"b"}],"licenses":[]} ` + "\n",
			File{
				Images:   []Image{{ID: "7", FileName: "7.jpg", COCOURL: "http://x/7.jpg"}, {ID: "b"}},
				Captions: []Caption{{ImageID: "7", Text: text("a")}, {ImageID: "b"}},
			},
			false,
		},
		{
			"Karpathy", `{"dataset":"coco","images":[{"filepath":"val2014","filename":"1.jpg","imgid":0,"cocoid":391895,"split":"val",
			"sentids":[1],"sentences":[{"tokens":["a"],"raw":"A dog.","sentid":1},"A cat."],"url":"http://x/1.jpg"},{"filename":"2.jpg","sentences":null}]}`,
			File{Images: []Image{
				{FilePath: "val2014", Filename: "1.jpg", ImgID: "0", COCOID: "391895", Split: "val", Sentences: []Sentence{"A dog.", "A cat."}, URL: "http://x/1.jpg"},
				{Filename: "2.jpg"},
			}},
			true,
		},
		{"other keys only", `{"a":{"images":[{"id":1}]}}`, File{}, false},
		{"nothing", `{}`, File{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(iotest.OneByteReader(strings.NewReader(tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if got.Karpathy() != tt.karpathy {
				t.Errorf("Karpathy: %v, want %v", got.Karpathy(), tt.karpathy)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for file, says := range map[string]string{
		"":                                       "unexpected EOF",
		"[]":                                     "[ where { was expected",
		`{"images":[{"id":1}]`:                   "unexpected EOF",
		`{"images":[{"id":1}]} {}`:               "something follows",
		`{"images":{"id":1}}`:                    `in "images": format: { where [ was expected`,
		`{"images":[{"id":1.5}]}`:                `in "images": element 0: id 1.5 is neither`,
		`{"images":[{},{"file_name":7}]}`:        `in "images": element 1: `,
		`{"annotations":[{"image_id":true}]}`:    `in "annotations": element 0: id true is neither`,
		`{"images":[{"sentences":[{"raw":1}]}]}`: "element 0: ",
		`{"info":`:                               "EOF",
		`{"info" "x"}`:                           "expected colon",
	} {
		if _, err := Parse(strings.NewReader(file)); !errors.Is(err, ErrFormat) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v, want ErrFormat saying %q", file, err, says)
		}
	}
}

func TestID(t *testing.T) {
	for text, want := range map[string]ID{
		`42`: "42", `"42"`: "42", `-7`: "-7", `42.0`: "42", `4.2e1`: "42", `1E3`: "1000", `"a b"`: "a b", `""`: "", `null`: "", `0`: "0",
		`9007199254740993`: "9007199254740993", `"042"`: "042",
	} {
		got := ID("before")
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`1.5`, `1e400`, `1e19`, `true`, `[1]`, `{}`, `0.1e-5`, "1e" + strings.Repeat("0", 100) + "1"} {
		var got ID
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is %q, want an error", text, got)
		}
	}
}

func TestEach(t *testing.T) {
	var got []int
	err := Each(json.NewDecoder(strings.NewReader(`[1,2,3]`)), func(n int) error {
		got = append(got, n)
		return nil
	})
	if err != nil || !cmp.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	stop := errors.New("stop")
	err = Each(json.NewDecoder(strings.NewReader(`[1,2,3]`)), func(n int) error {
		if n == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || !strings.HasPrefix(err.Error(), "element 1: ") {
		t.Errorf("%v, want that of element 1", err)
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		file        string
		list, known bool
	}{
		{` [1]`, true, true},
		{"\ufeff\r\n\t[", true, true},
		{`{"images":[]}`, false, true},
		{`{"info":{}}`, false, true},
		{`{"dataset":"x"}`, false, true},
		{`{"file_name":"x"}`, false, false},
		{`{"image":"x"}` + "\n{}", false, false},
		{`{"x"`, false, false},
		{`{`, false, true}, // Parse says what is wrong with it
		{``, false, true},
		{`words`, false, true},
	} {
		in := SkipMark(strings.NewReader(tt.file))
		list, err := BeginsList(in)
		if err != nil || list != tt.list {
			t.Errorf("%q begins a list: %v, %v", tt.file, list, err)
		}
		if got := Known(in); got != tt.known {
			t.Errorf("%q is known: %v", tt.file, got)
		}
		rest, err := io.ReadAll(in)
		if want := strings.TrimLeft(tt.file, "\ufeff \r\n\t"); err != nil || string(rest) != want {
			t.Errorf("%q: %q is left, %v", tt.file, rest, err)
		}
	}
	broken := errors.New("broken")
	if _, err := BeginsList(bufio.NewReader(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's error", err)
	}
}

func FuzzParse(f *testing.F) {
	// Written by testdata/dataset_formats.py.
	for _, name := range []string{"coco/annotations/captions_val2014.json", "karpathy_flickr30k/dataset_flickr30k.json"} {
		data, err := os.ReadFile(filepath.Join("../../testdata/datasets", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(`{"images":[{"id":1e300,"sentences":["x",{"raw":"y"}]}],"annotations":[{"image_id":"1","caption":"x"}]}`)
	f.Fuzz(func(t *testing.T, file string) {
		got, err := Parse(strings.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v, want ErrFormat", err)
			}
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(file, "\ufeff"))) {
			t.Error("Parse reads what is no JSON")
		}
		_ = got.Karpathy()
	})
}
