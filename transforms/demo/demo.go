// Package demo draws blipflow's built-in data set: pictures of coloured shapes
// on a light ground, five captions each, and the facts that a caption of such
// a picture has to state. It is what `pipelines/train` learns when it is given
// no data, so that every stage of the program can run for real, from JPEG
// files to metrics, in minutes and without a download.
//
// # Contract
//
// A [Scene] is a pure function of a seed and an index. It holds one kind of
// shape in one colour and one size, one to four times, gathered on one side or
// in the centre of the picture. The shapes never overlap or touch and lie
// wholly inside the picture. Scenes of different indices are drawn
// independently, so any part of the index range can be held out as unseen.
//
// Drawing uses integers and correctly rounded square roots only: the same seed
// and index give the same pixels on every platform. The JPEG bytes that [Write] produces depend on the standard
// library's encoder and so are the same for one version of Go only.
//
// Every caption states count, colour and shape, and some state size and place
// as well. [Parse] reads them back from a caption, whoever wrote it, and
// [Score] tells how many captions state the truth.
//
// # Limits
//
// The vocabulary is about forty English words in lower case. Pictures are 128 to
// 192 pixels wide, 85 to 115 hundredths of that high, and so rarely square.
package demo

// Shape is one of the kinds of figure that are drawn.
type Shape string

// The shapes.
const (
	Circle   Shape = "circle"
	Square   Shape = "square"
	Triangle Shape = "triangle"
	Star     Shape = "star"
	Ring     Shape = "ring"
)

// Colour is the name of the colour of all shapes of a scene.
type Colour string

// The colours.
const (
	Red    Colour = "red"
	Orange Colour = "orange"
	Yellow Colour = "yellow"
	Green  Colour = "green"
	Blue   Colour = "blue"
	Purple Colour = "purple"
	Pink   Colour = "pink"
	Black  Colour = "black"
)

// Size tells small shapes from big ones.
type Size string

// The sizes.
const (
	Small Size = "small"
	Big   Size = "big"
)

// Place is where in the picture the shapes are.
type Place string

// The places.
const (
	Left   Place = "left"
	Right  Place = "right"
	Top    Place = "top"
	Bottom Place = "bottom"
	Centre Place = "centre"
)

// MaxCount is the largest number of shapes in a scene; the smallest is one.
const MaxCount = 4

var (
	shapes  = []Shape{Circle, Square, Triangle, Star, Ring}
	colours = []Colour{Red, Orange, Yellow, Green, Blue, Purple, Pink, Black}
	sizes   = []Size{Small, Big}
	places  = []Place{Left, Right, Top, Bottom, Centre}
)

// Facts is what a caption can say about a scene.
type Facts struct {
	// Shape of the figures.
	Shape Shape `json:"shape"`
	// Colour of the figures.
	Colour Colour `json:"colour"`
	// Count of the figures, 1 to [MaxCount].
	Count int `json:"count"`
	// Size of the figures; empty if a caption does not say.
	Size Size `json:"size,omitempty"`
	// Place of the figures; empty if a caption does not say.
	Place Place `json:"place,omitempty"`
}
