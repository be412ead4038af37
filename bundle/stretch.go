package bundle

import "github.com/ckpt-go/ckpt/tensor"

// stretch is a run of bytes that lie side by side both where they are stored
// and where they go.
type stretch struct{ from, to, n int64 }

// stretches walks a box that two row-major tensors hold, in the order in which
// both do.
type stretches struct {
	unit     int64 // bytes of an element
	from, to side
}

// side is one of the two: what of the open run is left.
type side struct {
	runs   *runs
	off, n int64
}

// newStretches needs slices that fit the shapes and have the same shape.
func newStretches(unit int64, from tensor.Shape, at Slice, to tensor.Shape, there Slice) *stretches {
	return &stretches{unit, side{runs: newRuns(from, at)}, side{runs: newRuns(to, there)}}
}

// next returns the next stretch in bytes.
func (s *stretches) next() (stretch, bool) {
	if !s.from.fill() || !s.to.fill() {
		return stretch{}, false
	}
	n := min(s.from.n, s.to.n)
	found := stretch{s.from.off * s.unit, s.to.off * s.unit, n * s.unit}
	s.from.take(n)
	s.to.take(n)
	return found, true
}

func (s *side) fill() bool {
	if s.n > 0 {
		return true
	}
	var ok bool
	s.off, s.n, ok = s.runs.next()
	return ok
}

func (s *side) take(n int64) {
	s.off += n
	s.n -= n
}
