// Package augment changes pictures at random, the way BLIP's training does: a
// crop of a random place, size and shape, a mirror image in half of the cases,
// and two random operations on levels or geometry (RandAugment).
//
// # Behaviour
//
// [Recipe.Apply] is a pure function of the picture, the record that it belongs to,
// a seed and an epoch: what comes out does not depend on the order, the machine or
// the goroutine in which records are read, and each epoch sees something else. It
// never writes to the picture that it is given, so captions may share one.
//
// # Differences from the reference
//
// The reference is BLIP's image processor for training, as the salesforce-lavis
// 1.0.2 wheel has it: torchvision's RandomResizedCrop, its RandomHorizontalFlip
// and a RandAugment on OpenCV (4.5.5 by its requirements), to the byte but for
// these:
//
//   - The reference crops the source picture. Here it is the stored picture that is
//     cropped, which is already squashed to the model's size: the crop is drawn in
//     the source's geometry, so its shape and share have the reference's
//     distribution, and is then rounded to whole stored pixels. Detail that the
//     squash removed does not come back.
//   - A caption that says left or right keeps its picture from being mirrored.
//   - AutoContrast does what the reference says that it does, Pillow's autocontrast.
//     The reference's code negates an unsigned 8-bit number, and so whitens every
//     channel whose darkest level is not 0.
//   - Sharpness by more than 1, which the recipe's level never asks for, is kept
//     within 0 to 255. In the reference levels beyond them come out at the other end.
//
// At the level that BLIP takes, 5 of 10, Brightness and Sharpness have the factor
// 1, which changes nothing, in the reference as here.
package augment

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// Recipe says what is done to pictures. The zero value leaves them alone. As text
// it is "none", "blip" for all there is, or a list such as "crop,flip".
type Recipe struct {
	// Crop takes a part of half to all of the picture's area, between 3:4 and 4:3
	// in shape, and scales it up to the picture's size.
	Crop bool
	// Flip mirrors half of the pictures left to right.
	Flip bool
	// RandAugment draws two of ten operations, each of which is then carried out or
	// not by the toss of a coin.
	RandAugment bool
}

// BLIP is the recipe of BLIP's training.
var BLIP = Recipe{Crop: true, Flip: true, RandAugment: true}

// ErrRecipe is wrapped by the error for text that is no recipe.
var ErrRecipe = errors.New("augmentation")

// String is "none", "blip" or the list of the recipe's steps.
func (r Recipe) String() string {
	switch r {
	case Recipe{}:
		return "none"
	case BLIP:
		return "blip"
	}
	var names []string
	for _, s := range r.steps() {
		if *s.on {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ",")
}

type step struct {
	name string
	on   *bool
}

func (r *Recipe) steps() []step {
	return []step{{"crop", &r.Crop}, {"flip", &r.Flip}, {"randaugment", &r.RandAugment}}
}

// MarshalText writes the recipe as String does.
func (r Recipe) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes, with spaces or none around the
// commas. Empty text is "none". The error wraps [ErrRecipe].
func (r *Recipe) UnmarshalText(text []byte) error {
	switch whole := strings.TrimSpace(string(text)); whole {
	case "", "none":
		*r = Recipe{}
		return nil
	case "blip":
		*r = BLIP
		return nil
	}
	var read Recipe
	for name := range strings.SplitSeq(string(text), ",") {
		if err := read.turnOn(strings.TrimSpace(name)); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

func (r *Recipe) turnOn(name string) error {
	for _, s := range r.steps() {
		if s.name == name {
			*s.on = true
			return nil
		}
	}
	return fmt.Errorf("%w: %q: write none, blip, or some of crop, flip and randaugment with commas between", ErrRecipe, name)
}

// Record is what Apply has to know about a picture.
type Record struct {
	// ID names the picture in its data set.
	ID string
	// Width and Height are those of the source picture, of which the pixels are a
	// squashed copy. 0 stands for those of the pixels.
	Width, Height int
	// Caption is which of the picture's captions it is shown with, from 0.
	Caption int
	// Text is that caption.
	Text string
}

// Apply returns p changed as the recipe says, in p's size, or p itself if nothing
// changes. p must be valid; it is not written to.
func (r Recipe) Apply(p *imaging.RGB, of Record, seed int64, epoch int) *imaging.RGB {
	if r == (Recipe{}) {
		return p
	}
	random := of.random(seed, epoch)
	// All steps draw their numbers from streams of their own, so that turning one
	// off leaves the others as they were.
	crops, flips, ops := random(), random(), random()
	if r.Crop {
		p = cropAndResize(p, drawCrop(of.size(p), crops).on(p, of.size(p)))
	}
	if r.Flip && flips.IntN(2) == 0 && !NamesSide(of.Text) {
		p = mirror(p)
	}
	if r.RandAugment {
		p = randAugment(p, ops)
	}
	return p
}

// size is that of the source picture.
func (of Record) size(p *imaging.RGB) size {
	if of.Width < 1 || of.Height < 1 {
		return size{p.W, p.H}
	}
	return size{of.Width, of.Height}
}

// random gives generators, one after the other, that depend on the arguments
// alone.
func (of Record) random(seed int64, epoch int) func() *rand.Rand {
	key := binary.LittleEndian.AppendUint64(nil, uint64(seed))
	key = binary.LittleEndian.AppendUint64(key, uint64(epoch))
	key = binary.LittleEndian.AppendUint64(key, uint64(of.Caption))
	sum := sha256.Sum256(append(key, of.ID...))
	hi, lo := binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])
	return func() *rand.Rand {
		hi++
		return rand.New(rand.NewPCG(hi, lo))
	}
}

// mirror turns a picture's left and right round.
func mirror(p *imaging.RGB) *imaging.RGB { return imaging.Orient(p, 2) }
