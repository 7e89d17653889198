//go:build unix

package preprocess

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// imagingFiles has pictures of all kinds, whose pixels testdata/imaging.py took
// from Pillow.
const imagingFiles = "../../testdata/golden/imaging"

func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(imagingFiles, "files", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenDigests are the SHA-256 of the golden pictures' pixels, by name, and those
// of ycck.jpg.
func goldenDigests(t testing.TB) map[string]string {
	t.Helper()
	var cases []struct {
		File       string `json:"file"`
		SHA256     string `json:"sha256"`
		IgnoreEXIF bool   `json:"ignore_exif"`
		Background []int  `json:"background"`
		Clip       bool   `json:"clip"`
	}
	data, err := os.ReadFile(filepath.Join(imagingFiles, "decode.json"))
	if err == nil {
		err = json.Unmarshal(data, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, c := range cases {
		if !c.IgnoreEXIF && c.Background == nil && !c.Clip {
			digests[c.File] = c.SHA256
		}
	}
	png, err := os.ReadFile(filepath.Join(fixtures, "pictures", "ycck.png"))
	if err != nil {
		t.Fatal(err)
	}
	ycck, _, err := imaging.Decode(png, imaging.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	digests["ycck.jpg"] = digest(ycck.Pix)
	return digests
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pngOf is a PNG file with a header that claims a size, and these rows.
func pngOf(w, h uint32, rows []byte) []byte {
	chunk := func(kind string, data []byte) []byte {
		out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		out = append(append(out, kind...), data...)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(rows) // into memory
	_ = z.Close()
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(head, 8, 0, 0, 0, 0)), chunk("IDAT", packed.Bytes()), chunk("IEND", nil))
}

// bmpOf is a BMP file with a header that claims a size, and no pixels.
func bmpOf(w, h uint32) []byte {
	b := append([]byte("BM"), make([]byte, 8)...)
	for _, v := range []uint32{54, 40, w, h, 1 | 24<<16, 0, 0, 0, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// badInput is a file and what is to become of it: the pixels of a golden picture,
// or a dead letter.
type badInput struct {
	name   string
	data   []byte // nil: make it
	make   func(path string) error
	pixels string       // the golden picture that has them
	code   records.Code // of the dead letter
	says   string       // what its reason begins with
}

func badInputs(t *testing.T) []badInput {
	g := func(name string) []byte { return golden(t, name) }
	cut := func(name string) []byte { return g(name)[:len(g(name))/2] }
	ycck, err := os.ReadFile(filepath.Join(fixtures, "pictures", "ycck.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	const truncated, corrupt, large = "truncated_picture", "corrupt_picture", "picture_too_large"
	all := []badInput{
		{name: "truncated.jpg", data: cut("444.jpg"), code: truncated, says: "decode jpeg: truncated picture"},
		{name: "truncated progressive.jpg", data: cut("progressive.jpg"), code: truncated, says: "decode jpeg: truncated picture"},
		{name: "truncated.png", data: cut("rgb.png"), code: truncated, says: "decode png: truncated picture"},
		{name: "truncated lossy.webp", data: cut("lossy.webp"), code: truncated, says: "decode webp: truncated picture"},
		{name: "truncated lossless.webp", data: cut("lossless.webp"), code: truncated, says: "decode webp: truncated picture"},
		{name: "truncated.gif", data: cut("palette.gif"), code: truncated, says: "decode gif: truncated picture"},
		{name: "truncated.bmp", data: cut("rgb.bmp"), code: truncated, says: "decode bmp: truncated picture"},
		{name: "truncated.tif", data: cut("rgb.tif"), code: truncated, says: "decode tiff: "},
		{name: "header only.jpg", data: g("444.jpg")[:20], code: truncated, says: "decode jpeg: truncated picture"},
		{name: "one byte.jpg", data: []byte{0xff}, code: "unknown_format", says: "not a picture in a known format"},
		{name: "zero bytes.jpg", data: []byte{}, code: "empty_file", says: "empty file"},
		{name: "html.jpg", data: []byte("<html><body>404 Not Found</body></html>"), code: "unknown_format", says: "not a picture in a known format (it begins with \"<html>"},
		{name: "pdf.jpg", data: []byte("%PDF-1.7\n%\xe2\xe3"), code: "unsupported_picture", says: "unsupported kind of picture: PDF is not read"},
		{name: "svg.png", data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), code: "unsupported_picture", says: "unsupported kind of picture: SVG is not read"},
		{name: "bomb.png", data: pngOf(60000, 60000, make([]byte, 1<<20)), code: large, says: "decode png: picture too large: 60000x60000"},
		{name: "bomb.bmp", data: bmpOf(60000, 60000), code: large, says: "decode bmp: picture too large: 60000x60000"},
		{name: "largest claim.png", data: pngOf(1<<31-1, 1<<31-1, nil), code: large, says: "decode png: picture too large"},
		{name: "claims more than it has.png", data: pngOf(1000, 1000, make([]byte, 5000)), code: corrupt, says: "decode png: corrupt picture: png: invalid format: not enough pixel data"},
		{name: "claims more than it has.bmp", data: bmpOf(1000, 1000), code: truncated, says: "decode bmp: truncated picture"},
		{name: "over the limit.png", data: pngOf(4001, 1000, make([]byte, 4002*1000)), code: large, says: "decode png: picture too large: 4001x1000"},
		{name: "no size.png", data: pngOf(0, 10, nil), code: corrupt, says: "decode png: corrupt picture"},
		{name: "broken checksum.png", data: flip(g("rgb.png"), 60), code: corrupt, says: "decode png: corrupt picture"},
		{name: "ycck adobe.jpg", data: ycck, pixels: "ycck.jpg"},
		{name: "png called.jpg", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "jpeg called.png", data: g("444.jpg"), pixels: "444.jpg"},
		{name: "webp called.jpeg", data: g("lossy.webp"), pixels: "lossy.webp"},
		{name: "no extension", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "jpeg with a tail.jpg", data: append(g("420.jpg"), make([]byte, 4096)...), pixels: "420.jpg"},
		{name: "odd\n#?%[]* 🎈.png", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "caf\xe9.png", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "http:x.png", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "-rf.png", data: g("rgb.png"), pixels: "rgb.png"},
		{name: "link.png", make: func(p string) error { return os.Symlink("png called.jpg", p) }, pixels: "rgb.png"},
		{name: "loop.jpg", make: func(p string) error { return os.Symlink("loop.jpg", p) }, code: records.CodeMissing, says: "the metadata names a picture that is not there"},
		{name: "dangling.jpg", make: func(p string) error { return os.Symlink("nowhere.jpg", p) }, code: records.CodeMissing, says: "the metadata names a picture that is not there"},
		{name: "fifo.jpg", make: func(p string) error { return syscall.Mkfifo(p, 0o600) }, code: records.CodeMissing, says: "the metadata names a picture that is not there"},
		{name: "folder.jpg", make: func(p string) error { return os.Mkdir(p, 0o700) }, code: records.CodeMissing, says: "the metadata names a picture that is not there"},
		{name: "absent.jpg", code: records.CodeMissing, says: "the metadata names a picture that is not there"},
		{name: "../above.jpg", code: records.CodeRefusedPath, says: "the metadata names a picture outside the data set's folder"},
		{name: "/etc/hostname", code: records.CodeRefusedPath, says: "the metadata names a picture outside the data set's folder"},
	}
	if os.Geteuid() != 0 { // root can read all
		all = append(all, badInput{name: "unreadable.jpg", make: func(p string) error { return os.WriteFile(p, g("420.jpg"), 0) }, code: records.CodeUnreadable, says: "open: permission denied"})
	}
	for _, name := range []string{
		"grey16.png", "rgb16.png", "la16.png", "1.png", "1.bmp", "palette.png", "palette_trns.png", "la.png", "rgba.png", "rgb_trns.png",
		"lossless_alpha.webp", "lossy_alpha.webp", "cmyk.jpg", "cmyk_420.jpg", "rgb.jpg", "grey.jpg", "progressive.jpg", "restart.jpg", "interlaced.png", "no_end.png",
		"animated.gif", "animated.png", "animated.webp", "transparent.gif", "rle8.bmp", "group4.tif", "cmyk.tif", "orientation_1.jpg", "orientation_2.jpg",
		"orientation_3.jpg", "orientation_4.jpg", "orientation_5.jpg", "orientation_6.jpg", "orientation_7.jpg", "orientation_8.jpg", "exif_behind.png", "exif.webp", "tiny_1x1.jpg",
	} {
		all = append(all, badInput{name: name, data: g(name), pixels: name})
	}
	return all
}

func flip(data []byte, at int) []byte {
	data[at] ^= 0x55
	return data
}

// fate is what became of a picture, in words.
func fate(l *records.DeadLetter, e *records.Example) string {
	if l != nil {
		return fmt.Sprintf("%s: %s", l.Code, l.Error)
	}
	if e != nil {
		return fmt.Sprintf("%d×%d pixels", e.Width, e.Height)
	}
	return "lost"
}

func TestBadInputs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "set")
	inputs := badInputs(t)
	var meta strings.Builder
	for _, in := range inputs {
		path := filepath.Join(dir, in.name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		switch {
		case in.data != nil:
			err = errors.Join(err, os.WriteFile(path, in.data, 0o600))
		case in.make != nil:
			err = errors.Join(err, in.make(path))
		}
		name, jsonErr := json.Marshal(dataset.EncodeName(in.name))
		if err := errors.Join(err, jsonErr); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&meta, "{\"file_name\":%s,\"text\":\"a red circle\"}\n", name)
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(meta.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Processor.DoResize = false // so that the rows have the pictures' own pixels
	cfg.Decode.MaxPixels = 4_000_000
	m, err := runSet(t, set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	checkCounts(t, set, cfg, m)
	letters := lettersOf(t, cfg)
	all := rows(t, m)
	library, _ := imaging.JPEGLibrary()
	inexact := func(in badInput) bool {
		return strings.HasSuffix(in.pixels, ".jpg") && library != "libjpeg-turbo"
	}
	digests := goldenDigests(t)
	for _, in := range inputs {
		t.Run(in.name, func(t *testing.T) {
			uri := dataset.EncodeName(in.name)
			letter, failed := letters[uri]
			row, written := all[uri]
			switch {
			case failed == written:
				t.Fatalf("dead letter: %v, row: %v; want one of them", failed, written)
			case failed:
				t.Logf("| %q | %s |", in.name, fate(&letter, nil))
				if inexact(in) && letter.Code == "unsupported_picture" {
					t.Skip("Go's JPEG decoder reads fewer kinds")
				}
				if letter.Code != in.code || !strings.HasPrefix(letter.Error, in.says) {
					t.Errorf("want %s: %s", in.code, in.says)
				}
				return
			}
			t.Logf("| %q | %s |", in.name, fate(nil, &row))
			if in.pixels == "" {
				t.Fatalf("want %s: %s", in.code, in.says)
			}
			if inexact(in) {
				t.Skip("Go's JPEG decoder rounds some samples differently")
			}
			if digests[in.pixels] == "" || digest(row.Pixels) != digests[in.pixels] {
				t.Errorf("the pixels are not those of %s", in.pixels)
			}
		})
	}
}

func lettersOf(t testing.TB, cfg Config) map[string]records.DeadLetter {
	t.Helper()
	list, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]records.DeadLetter{}
	for _, l := range list {
		all[l.Image] = l
	}
	return all
}

// TestBadCaptions has captions that are too much or too little.
func TestBadCaptions(t *testing.T) {
	huge := strings.Repeat("word ", 200_000)
	data := jpegOf(t, 3)
	for _, tt := range []struct {
		name, captions string // JSON
		want           []string
		dead           string
	}{
		{"huge", `"` + huge + `"`, []string{strings.TrimSpace(huge)}, ""},
		{"empty among others", `["","a word"]`, []string{"a word"}, "empty_caption: caption 1 of 2 has no word: \"\""},
		{"empty", `""`, nil, "empty_caption: none of its 1 captions has a word"},
		{"spaces", `" \t\n\u3000"`, nil, "empty_caption: none of its 1 captions has a word"},
		{"none", `[]`, nil, "no_caption: no caption belongs to the picture"},
		{"null", `null`, nil, "no_caption: no caption belongs to the picture"},
		{"not UTF-8", "\"a \xff\xfeword\"", []string{"a \ufffd\ufffdword"}, ""}, // as encoding/json has it
		{"half a surrogate", `"a word \ud83c"`, []string{"a word \ufffd"}, ""},
		{"lines", `"a\r\nword\u2028here\u0000"`, []string{"a word here"}, ""},
		{"emoji", `"\ud83c\udf88"`, []string{"🎈"}, ""},
		{"markup", `"a <b>word</b> &amp; {x} %s"`, []string{"a <b>word</b> &amp; {x} %s"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, cfg := t.TempDir(), config(t)
			meta := fmt.Sprintf("{\"file_name\":\"x.jpg\",\"text\":%s}\n{\"file_name\":\"y.jpg\",\"text\":\"a word\"}\n", tt.captions)
			err := errors.Join(
				os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(meta), 0o600),
				os.WriteFile(filepath.Join(dir, "x.jpg"), data, 0o600), os.WriteFile(filepath.Join(dir, "y.jpg"), data, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			m, _ := preprocess(t, dir, cfg)
			e := rows(t, m)["x.jpg"]
			if diff := cmp.Diff(tt.want, e.Captions); diff != "" {
				t.Errorf("captions (-want +got):\n%.300s", diff)
			}
			for _, ids := range e.TokenIDs {
				if len(ids) > cfg.Text.MaxLength {
					t.Errorf("%d token ids, at most %d are allowed", len(ids), cfg.Text.MaxLength)
				}
			}
			l, failed := lettersOf(t, cfg)["x.jpg"]
			if got := fate(&l, nil); failed != (tt.dead != "") || failed && got != tt.dead {
				t.Errorf("dead letter %q, want %q", got, tt.dead)
			}
			if tt.dead != "" {
				t.Logf("| caption: %s | %s |", tt.name, tt.dead)
			} else {
				t.Logf("| caption: %s | %.40q |", tt.name, e.Captions)
			}
		})
	}
}

type tarMember struct {
	name string
	data []byte
	kind byte
}

func tarOf(t testing.TB, members ...tarMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(m.data))}
		if m.kind != 0 {
			h.Typeflag, h.Size, h.Linkname = m.kind, 0, string(m.data)
		}
		err := w.WriteHeader(h)
		if err == nil && m.kind == 0 {
			_, err = w.Write(m.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBadContainers has tar and Parquet files that are broken, or hold what is.
func TestBadContainers(t *testing.T) {
	good, text := jpegOf(t, 5), []byte("a word")
	pair := func(name string, picture []byte) []tarMember {
		return []tarMember{{name: name + ".jpg", data: picture}, {name: name + ".txt", data: text}}
	}
	whole := tarOf(t, append(pair("a", good), pair("b", jpegOf(t, 6))...)...)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(whole); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Image *struct {
			Bytes []byte  `parquet:"bytes,optional"`
			Path  *string `parquet:"path,optional"`
		} `parquet:"image,optional"`
		Caption string `parquet:"caption"`
	}
	table := func(pictures ...[]byte) []byte {
		list := make([]row, len(pictures))
		for i, p := range pictures {
			list[i].Caption = "a word"
			if p != nil {
				list[i].Image = &struct {
					Bytes []byte  `parquet:"bytes,optional"`
					Path  *string `parquet:"path,optional"`
				}{Bytes: p}
			}
		}
		var b bytes.Buffer
		w := parquet.NewGenericWriter[row](&b)
		if _, err := w.Write(list); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	parquetFile := table(good, jpegOf(t, 6))
	for _, tt := range []struct {
		name, file string
		data       []byte
		want       []string // "URI: fate" of rows and dead letters
		refused    string   // the error of loading
	}{
		{name: "pictures of all kinds in a tar", file: "x.tar", data: tarOf(t, slices.Concat(
			pair("ok", good), pair("cut", good[:300]), pair("page", []byte("<html>")), pair("empty", []byte{}),
			pair("bomb", pngOf(60000, 60000, nil)), pair("../up", good), pair("/abs", good),
			[]tarMember{{name: "link.jpg", data: []byte("/etc/hostname"), kind: tar.TypeSymlink}, {name: "link.txt", data: text}, {name: "alone.jpg", data: good}},
		)...), want: []string{
			"tar:x.tar#../up.jpg: refused_path: the member's name leads out of the tar file",
			"tar:x.tar#/abs.jpg: refused_path: the member's name leads out of the tar file",
			"tar:x.tar#alone.jpg: no_caption: no caption belongs to the picture",
			"tar:x.tar#bomb.jpg: picture_too_large: decode png: picture too large",
			"tar:x.tar#cut.jpg: truncated_picture: decode jpeg: truncated picture",
			"tar:x.tar#empty.jpg: empty_file: empty file",
			"tar:x.tar#link: missing: the sample has no picture",
			"tar:x.tar#ok.jpg: 45×30 pixels",
			"tar:x.tar#page.jpg: unknown_format: not a picture in a known format",
		}},
		{name: "truncated tar", file: "x.tar", data: whole[:len(whole)/2], want: []string{
			"tar:x.tar#a.jpg: 45×30 pixels", "tar:x.tar#b.jpg: unreadable: the tar file ends within the picture",
			"tar:x.tar: unreadable: the file is cut off or damaged after 2 samples: unexpected EOF",
		}},
		{name: "corrupted gzip", file: "x.tar.gz", data: flip(bytes.Clone(zipped.Bytes()), 60), want: []string{
			"tar:x.tar.gz: unreadable: the file is cut off or damaged after ",
		}},
		{name: "truncated gzip", file: "x.tgz", data: zipped.Bytes()[:30], want: []string{
			"tar:x.tgz: unreadable: the file is cut off or damaged after 0 samples: unexpected EOF",
		}},
		{name: "no gzip", file: "x.tar.gz", data: whole, want: []string{"tar:x.tar.gz: unreadable: gzip: invalid header"}},
		{name: "Parquet rows without pictures", file: "x.parquet", data: table(good, nil, []byte{}, []byte("<html>"), good[:300]), want: []string{
			"parquet:x.parquet#0: 45×30 pixels", "parquet:x.parquet#1: missing: the row has no picture", "parquet:x.parquet#2: missing: the row has no picture",
			"parquet:x.parquet#3: unknown_format: not a picture in a known format", "parquet:x.parquet#4: truncated_picture: decode jpeg: truncated picture",
		}},
		{name: "truncated Parquet", file: "x.parquet", data: parquetFile[:len(parquetFile)/2], refused: "x.parquet: malformed Parquet file: it does not end with the magic bytes PAR1: cut off?"},
		{name: "corrupted Parquet", file: "x.parquet", data: flip(bytes.Clone(parquetFile), 12), refused: "x.parquet: "},
		{name: "empty Parquet", file: "x.parquet", data: []byte{}, refused: "x.parquet: malformed Parquet file: 0 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, cfg := t.TempDir(), config(t)
			beside := map[string][]byte{tt.file: tt.data}
			if tt.file == "x.parquet" {
				beside["y.parquet"] = table(jpegOf(t, 9))
			} else {
				beside["y.tar"] = tarOf(t, pair("y", jpegOf(t, 9))...)
			}
			for name, data := range beside {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set, err := dataset.Load(dir, dataset.Options{})
			if tt.refused != "" {
				if !errors.Is(err, dataset.ErrMetadata) || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("%v, want ErrMetadata: %s", err, tt.refused)
				}
				t.Logf("| %s | the run is refused: %v |", tt.name, strings.ReplaceAll(fmt.Sprint(err), dir, "…"))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m, err := runSet(t, set, cfg)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, set, cfg, m)
			var got []string
			for uri, e := range rows(t, m) {
				if !strings.HasPrefix(uri, "tar:y.tar") && !strings.HasPrefix(uri, "parquet:y.parquet") {
					got = append(got, uri+": "+fate(nil, &e))
				}
			}
			for uri, l := range lettersOf(t, cfg) {
				got = append(got, uri+": "+fate(&l, nil))
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("outcomes (-want +got):\n%s", cmp.Diff(tt.want, got))
			}
			for _, line := range got {
				t.Logf("| %s | %s |", tt.name, line)
			}
		})
	}
}
