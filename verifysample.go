package ckpt

import "math/bits"

// sampling goes through the entries of an index in their order and tells which
// are in the sample: those whose middle byte is in that part of all bytes.
type sampling struct {
	Sample
	total, before uint64
}

// begin starts a pass over entries of so many bytes in all.
func (s Sample) begin(total int64) *sampling { return &sampling{Sample: s, total: uint64(total)} }

// next tells whether the next entry, of size bytes, is in the sample.
func (s *sampling) next(size int64) bool {
	if s.Of == 0 {
		return true
	}
	n := uint64(max(0, size))
	middle := s.before + n/2
	s.before += n
	if s.total == 0 {
		return s.Part == 1
	}
	hi, lo := bits.Mul64(min(middle, s.total-1), uint64(s.Of))
	part, _ := bits.Div64(hi, lo, s.total)
	return part == uint64(s.Part-1)
}
