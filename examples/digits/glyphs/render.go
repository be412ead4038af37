package glyphs

import (
	"image"
	"image/draw"
	"math/rand/v2"

	"golang.org/x/image/vector"
)

// How far pictures differ from the font's own digit, which is about 19 pixels
// high in the middle of the picture. All is drawn evenly between the bounds.
const (
	em       = 26.0   // pixels
	minScale = 0.85   // of the width and, apart from it, of the height
	maxScale = 1.15   // likewise
	maxTurn  = 0.1317 // tangent of half of 15°, either way
	maxShift = 2.0    // pixels, either way, across and down
	minWiden = -0.012 // ems that the stroke gains on each side
	maxWiden = 0.018  // likewise
	minInk   = 0.7    // darkness of the stroke
	maxInk   = 1.0    // likewise; 1 is black
	maxNoise = 0.3    // largest change of a pixel in the noisiest picture
)

// press prints pictures, one at a time.
//
// The arithmetic has no function but the square root and rounds every product to
// its own type before a sum takes it. So no compiler merges the two and no
// library's sine differs: the bits are the same on every kind of processor.
type press struct {
	faces  []face
	source rand.PCG
	random *rand.Rand
	raster *vector.Rasterizer
	mask   *image.Alpha
}

func newPress(faces []face) *press {
	p := &press{
		faces:  faces,
		raster: vector.NewRasterizer(Side, Side),
		mask:   image.NewAlpha(image.Rect(0, 0, Side, Side)),
	}
	p.random = rand.New(&p.source)
	return p
}

// print draws picture i of a seed's sets over pixels and returns its digit.
func (p *press) print(pixels []float32, seed, i uint64) (digit int64) {
	p.source.Seed(seed, i)
	digit = p.random.Int64N(10)
	f := &p.faces[p.random.IntN(len(p.faces))]
	p.fill(f[digit], p.distortion())
	p.develop(pixels)
	return digit
}

// distortion places an outline on the picture.
type distortion struct {
	xx, xy, yx, yy float64 // linear map from ems to pixels
	x0, y0         float64 // where the outline's middle goes, in pixels
	widen          float64 // ems
}

func (p *press) distortion() distortion {
	width := em * p.between(minScale, maxScale)
	height := em * p.between(minScale, maxScale)
	t := p.between(-maxTurn, maxTurn) // sine and cosine by the half-angle formulas
	square := t * t
	cos, sin := (1-float64(square))/(1+float64(square)), 2*t/(1+float64(square))
	return distortion{
		xx: cos * width, xy: -sin * height,
		yx: sin * width, yy: cos * height,
		x0:    Side/2 + p.between(-maxShift, maxShift),
		y0:    Side/2 + p.between(-maxShift, maxShift),
		widen: p.between(minWiden, maxWiden),
	}
}

// between is a random number, evenly between the bounds.
func (p *press) between(low, high float64) float64 {
	return low + float64((high-low)*p.random.Float64())
}

// at is where a knot comes to lie, in pixels.
func (d *distortion) at(k *knot) (x, y float32) {
	u := k.x + float64(d.widen*k.dx)
	v := k.y + float64(d.widen*k.dy)
	return float32(d.x0 + float64(d.xx*u) + float64(d.xy*v)),
		float32(d.y0 + float64(d.yx*u) + float64(d.yy*v))
}

// fill rasterises the outline onto the mask.
func (p *press) fill(o outline, d distortion) {
	p.raster.Reset(Side, Side)
	p.raster.DrawOp = draw.Src
	for _, c := range o {
		p.raster.MoveTo(d.at(&c[0]))
		for i := range c[1:] {
			p.raster.LineTo(d.at(&c[i+1]))
		}
		p.raster.ClosePath()
	}
	p.raster.Draw(p.mask, p.mask.Bounds(), image.Opaque, image.Point{})
}

// develop turns the mask into pixels: paler, with noise, between 0 and 1.
func (p *press) develop(pixels []float32) {
	ink := float32(p.between(minInk, maxInk) / 255)
	noise := float32(p.between(0, maxNoise) / 128)
	var bits uint64
	for i, m := range p.mask.Pix {
		if i%8 == 0 {
			bits = p.random.Uint64() // a byte for each of eight pixels
		}
		v := float32(ink*float32(m)) + float32(noise*float32(int8(bits)))
		bits >>= 8
		pixels[i] = min(max(v, 0), 1)
	}
}
