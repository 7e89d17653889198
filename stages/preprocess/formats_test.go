package preprocess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

// The fixtures are written by testdata/dataset_formats.py.
const fixtures = "../../testdata/datasets"

type wanted struct {
	Pictures []struct {
		SHA256   string   `json:"sha256"`
		URI      string   `json:"uri"`
		Captions []string `json:"captions"`
		Split    string   `json:"split"`
	} `json:"pictures"`
	Rejected []struct {
		URI  string       `json:"uri"`
		Code records.Code `json:"code"`
	} `json:"rejected"`
}

func expected(t testing.TB) map[string]wanted {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixtures, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]wanted
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// loadFixture loads a data set of testdata. Those that need it find their pictures
// in COCO's folders.
func loadFixture(t testing.TB, name string) *dataset.Set {
	t.Helper()
	set, err := dataset.Load(filepath.Join(fixtures, name), dataset.Options{})
	if errors.Is(err, dataset.ErrNoPictures) || err == nil && len(set.Refs) > 0 && dataset.Fetched(&set.Refs[0]) {
		set, err = dataset.Load(filepath.Join(fixtures, name), dataset.Options{ImageRoot: filepath.Join(fixtures, "coco")})
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// pool has the files of all pictures of the fixtures, by content hash.
func pool(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixtures, "kaggle", "Images", "*.jpg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d pictures, %v", len(files), err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		all[hex.EncodeToString(sum[:])] = data
	}
	return all
}

// runSet preprocesses a data set that is loaded.
func runSet(t testing.TB, set *dataset.Set, cfg Config) (_ *Manifest, err error) {
	t.Helper()
	job, err := Prepare(set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { err = errors.Join(err, job.Close()) }()
	p, s := beam.NewPipelineWithRoot()
	Run(s, job)
	if _, err := runners.Run(context.Background(), p); err != nil {
		return nil, err
	}
	return ReadManifest(cfg.Output)
}

// checkCounts adds up what a run says it has done.
func checkCounts(t *testing.T, set *dataset.Set, cfg Config, m *Manifest) {
	t.Helper()
	letters, err := records.ReadDeadLetters(filepath.Join(cfg.Output, ErrorsName))
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]bool{}
	given, failed, dropped := 0, 0, 0
	for _, l := range letters {
		if l.Stage == Stage && l.Code == records.CodeEmptyCaption && l.Error[0] == 'c' {
			dropped++
			continue
		}
		failed++
		bad[l.Image] = true
	}
	for _, ref := range set.Refs {
		if !bad[ref.URI] {
			given += len(ref.Captions)
		}
	}
	written, captions := 0, 0
	for _, shard := range m.Shards {
		written, captions = written+shard.Rows, captions+shard.Captions
	}
	all := rows(t, m)
	stored := 0
	for _, e := range all {
		stored += len(e.Captions)
	}
	if m.PicturesSeen != len(set.Refs)+len(set.Rejected) || m.PicturesWritten != written || len(all) != written ||
		m.PicturesFailed != failed || m.PicturesSeen != written+failed {
		t.Errorf("%d pictures listed and %d rejected; the manifest has %d seen, %d written, %d failed; the shards %d, the dead letters %d",
			len(set.Refs), len(set.Rejected), m.PicturesSeen, m.PicturesWritten, m.PicturesFailed, len(all), failed)
	}
	if m.CaptionsDropped != dropped || captions != stored || stored+dropped != given {
		t.Errorf("%d captions given; the manifest has %d written, %d dropped; the shards %d, the dead letters %d", given, captions, m.CaptionsDropped, stored, dropped)
	}
}

func TestFormats(t *testing.T) {
	files := pool(t)
	for name, want := range expected(t) {
		t.Run(name, func(t *testing.T) {
			set, cfg := loadFixture(t, name), config(t)
			cfg.ChunkSize = 3
			m, err := runSet(t, set, cfg)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, set, cfg, m)
			if m.PicturesWritten != len(want.Pictures) || m.PicturesFailed != len(want.Rejected) {
				t.Errorf("%d written and %d failed, want %d and %d", m.PicturesWritten, m.PicturesFailed, len(want.Pictures), len(want.Rejected))
			}
			byURI := map[string]records.Example{}
			for _, e := range rows(t, m) {
				byURI[e.URI] = e
			}
			for _, p := range want.Pictures {
				e := byURI[p.URI]
				rgb, _, err := imaging.Decode(files[p.SHA256], imaging.DecodeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				pixels := imaging.Resize(rgb, 16, 16, imaging.Bicubic).Pix
				if e.ContentHash != p.SHA256 || !bytes.Equal(e.Pixels, pixels) || e.Width != 40 || e.Height != 30 {
					t.Errorf("%s: %d×%d, hash %.8s; other pixels: %v", p.URI, e.Width, e.Height, e.ContentHash, !bytes.Equal(e.Pixels, pixels))
				}
				if diff := cmp.Diff(p.Captions, e.Captions); diff != "" {
					t.Errorf("%s (-want +got):\n%s", p.URI, diff)
				}
				if p.Split != "" && e.Split != p.Split {
					t.Errorf("%s is in split %s, want %s", p.URI, e.Split, p.Split)
				}
			}
		})
	}
}

// TestOwnShards preprocesses what preprocess wrote.
func TestOwnShards(t *testing.T) {
	for _, name := range []string{"karpathy_flickr30k", "flickr8k_parquet", "webdataset"} {
		t.Run(name, func(t *testing.T) {
			first, again := config(t), config(t)
			first.ShardBytes = 3 * 2000
			m, err := runSet(t, loadFixture(t, name), first)
			if err != nil {
				t.Fatal(err)
			}
			set, err := dataset.Load(first.Output, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			again.ChunkSize = 2
			second, err := runSet(t, set, again)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, set, again, second)
			if diff := cmp.Diff(rows(t, m), rows(t, second)); diff != "" {
				t.Errorf("rows (-first +second):\n%s", diff)
			}
			if second.PicturesFailed != 0 {
				t.Errorf("%d pictures failed", second.PicturesFailed)
			}
		})
	}
	t.Run("float32", func(t *testing.T) {
		cfg := config(t)
		cfg.PixelFormat = records.Float32
		if _, err := runSet(t, loadFixture(t, "kaggle"), cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := dataset.Load(cfg.Output, dataset.Options{}); !errors.Is(err, dataset.ErrMetadata) {
			t.Errorf("normalised pixels: %v, want ErrMetadata", err)
		}
	})
	t.Run("another size", func(t *testing.T) {
		first, again := config(t), config(t)
		if _, err := runSet(t, loadFixture(t, "kaggle"), first); err != nil {
			t.Fatal(err)
		}
		again.Processor = *imaging.DefaultProcessor(8)
		set, err := dataset.Load(first.Output, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := runSet(t, set, again)
		if err != nil {
			t.Fatal(err)
		}
		m16, err := ReadManifest(first.Output)
		if err != nil {
			t.Fatal(err)
		}
		before := rows(t, m16)
		for id, e := range rows(t, m) {
			want := before[id]
			want.Pixels = imaging.Resize(&imaging.RGB{W: 16, H: 16, Pix: want.Pixels}, 8, 8, imaging.Bicubic).Pix
			want.PixelWidth, want.PixelHeight = 8, 8
			if diff := cmp.Diff(want, e, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", id, diff)
			}
		}
	})
}

// TestLimitedSet has less of a data set, which is another one.
func TestLimitedSet(t *testing.T) {
	cfg := config(t)
	for _, limit := range []int{4, 5, 0} {
		set, err := dataset.Load(filepath.Join(fixtures, "karpathy_flickr30k"), dataset.Options{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		m, err := runSet(t, set, cfg)
		if err != nil {
			t.Fatal(err)
		}
		checkCounts(t, set, cfg, m)
		if want := (limit+7)%8 + 1; m.PicturesWritten != want { // 0 means all 8
			t.Errorf("limit %d: %d pictures, want %d", limit, m.PicturesWritten, want)
		}
	}
}
