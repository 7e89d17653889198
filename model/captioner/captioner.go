// Package captioner captions pictures with a model folder: the network, its
// processor, its tokenizer and a search, behind one call.
//
// A [Captioner] is safe for concurrent use. Batches queue for the device, one
// at a time; decoding and resizing of pictures belongs in the callers'
// goroutines.
package captioner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// Captioner is a loaded model folder.
type Captioner struct {
	folder *checkpoint.Folder
	model  *blip.Model
}

// Open loads a model folder onto a device (see [torch.Open] for its names).
func Open(folder, device string) (*Captioner, error) {
	f, err := checkpoint.Open(folder)
	if err != nil {
		return nil, err
	}
	d, err := torch.Open(device)
	if err != nil {
		return nil, err
	}
	m, err := f.Load(d)
	if err != nil {
		return nil, err
	}
	return &Captioner{folder: f, model: m}, nil
}

// Of is a captioner over a model that is in memory, which stays the caller's.
func Of(f *checkpoint.Folder, m *blip.Model) *Captioner {
	return &Captioner{folder: f, model: m}
}

var (
	sharedMu sync.Mutex
	shared   = map[string]*Captioner{}
)

// Shared is the process's one captioner of a folder and a device. The first
// call loads it, which may take seconds; it stays for the life of the process,
// since the stages that use it are never told that they are done.
func Shared(folder, device string) (*Captioner, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("open model folder: %w", err)
	}
	key := device + "\x00" + path
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if c, ok := shared[key]; ok {
		return c, nil
	}
	c, err := Open(path, device)
	if err != nil {
		return nil, err
	}
	shared[key] = c
	return c, nil
}

// Close frees the model of a captioner that came from Open.
func (c *Captioner) Close() { c.model.Close() }

// Processor is the folder's image processor.
func (c *Captioner) Processor() *imaging.Processor { return c.folder.Processor }

// Tokenizer is the folder's tokenizer.
func (c *Captioner) Tokenizer() *text.Tokenizer { return c.folder.Tokenizer }

// Defaults are the folder's generation settings, with the end id put in.
func (c *Captioner) Defaults() generate.Config { return c.folder.Generation }

// Model names the model for an output's provenance: the folder's name.
func (c *Captioner) Model() string { return hub.NameOf(c.folder.Path) }

// Request is a batch of pictures.
type Request struct {
	// Pictures have the size that Processor().Apply gives.
	Pictures []*imaging.RGB
	// Prompts are the captions' first words: one for each picture, or nil.
	Prompts []string
	// Generation are the search's settings. Where it names no end id, the
	// model's own ends a caption.
	Generation generate.Config
	// StripPrompt leaves the prompt out of the captions, which as in the
	// reference begin with it.
	StripPrompt bool
}

// Caption is one caption of a picture.
type Caption struct {
	Text string
	// Score is the sequence's log-probability under the length penalty. It is
	// −∞ where the settings forbade every token.
	Score float32
	// Tokens are the ids, the begin id and the prompt included.
	Tokens []int32
	// Ended tells that the caption came to its end before the length limit.
	Ended bool
}

// ErrRequest is wrapped where a request's parts do not fit.
var ErrRequest = errors.New("caption request")

// Caption writes Generation.NumReturnSequences captions, one at least, for each
// picture, best first. A batch that the device has no memory for is halved
// until it fits.
func (c *Captioner) Caption(ctx context.Context, r Request) ([][]Caption, error) {
	if r.Prompts != nil && len(r.Prompts) != len(r.Pictures) {
		return nil, fmt.Errorf("%w: %d prompts for %d pictures", ErrRequest, len(r.Prompts), len(r.Pictures))
	}
	if len(r.Generation.EOSTokenID) == 0 {
		r.Generation.EOSTokenID = c.folder.Generation.EOSTokenID
	}
	r.Generation.MaxPositions = c.folder.Generation.MaxPositions
	if len(r.Pictures) == 0 {
		return nil, nil
	}
	found, err := c.batch(ctx, r)
	if n := len(r.Pictures); errors.Is(err, torch.ErrOutOfMemory) && n > 1 {
		return c.halves(ctx, r, n/2)
	}
	return found, err
}

func (c *Captioner) halves(ctx context.Context, r Request, at int) ([][]Caption, error) {
	first, second := r, r
	first.Pictures, second.Pictures = r.Pictures[:at], r.Pictures[at:]
	if r.Prompts != nil {
		first.Prompts, second.Prompts = r.Prompts[:at], r.Prompts[at:]
	}
	a, err := c.Caption(ctx, first)
	if err != nil {
		return nil, err
	}
	b, err := c.Caption(ctx, second)
	return append(a, b...), err
}

func (c *Captioner) batch(ctx context.Context, r Request) ([][]Caption, error) {
	pixels, err := c.normalize(r.Pictures)
	if err != nil {
		return nil, err
	}
	prompts := c.prompts(r)
	found, err := c.model.Generate(ctx, pixels, prompts, r.Generation)
	if err != nil {
		return nil, fmt.Errorf("caption %d pictures: %w", len(r.Pictures), err)
	}
	out := make([][]Caption, len(found))
	for i, list := range found {
		for _, h := range list {
			ids := h.Tokens
			if r.StripPrompt {
				ids = h.Generated()
			}
			out[i] = append(out[i], Caption{
				Text:  c.folder.Tokenizer.Decode(ids, text.DecodeOptions{}),
				Score: h.Score, Tokens: h.Tokens, Ended: h.Ended,
			})
		}
	}
	return out, nil
}

// normalize lays the pictures out for the model.
func (c *Captioner) normalize(pictures []*imaging.RGB) ([]float32, error) {
	p := c.folder.Processor
	one := 3 * p.Width * p.Height
	pixels := make([]float32, len(pictures)*one)
	for i, m := range pictures {
		if m.W != p.Width || m.H != p.Height {
			return nil, fmt.Errorf("%w: picture %d is %d×%d, the model takes %d×%d", ErrRequest, i, m.W, m.H, p.Width, p.Height)
		}
		if err := p.Normalize(pixels[i*one:][:one], m); err != nil {
			return nil, fmt.Errorf("picture %d: %w", i, err)
		}
	}
	return pixels, nil
}

// prompts are each row's first ids: the begin id, then the prompt's words
// without a closing separator.
func (c *Captioner) prompts(r Request) [][]int32 {
	out := make([][]int32, len(r.Pictures))
	for i := range out {
		out[i] = []int32{c.folder.BOS()}
		if r.Prompts != nil {
			out[i] = append(out[i], c.folder.Tokenizer.Encode(r.Prompts[i])...)
		}
	}
	return out
}
