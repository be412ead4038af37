package bundle

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// maxPairs is how many pairs of slices are compared to name two that overlap;
// a few dozen milliseconds, as long as it takes to look that many slices up.
const maxPairs = 1 << 23

// checkCover says whether slices of a tensor of total elements fit its shape
// and hold each element exactly once. It takes about 40 bytes of memory for each
// slice, whatever the size of the tensor: shape and slices are claims, and a data
// file with holes can have any size.
func checkCover(shape tensor.Shape, total int64, all []Slice) error {
	var covered int64
	for _, s := range all {
		n, err := s.elements(shape)
		if err != nil {
			return fault.Corrupt(fault.KindEntry, "%w", err)
		}
		if n > total-covered {
			return overlapError(all)
		}
		covered += n
	}
	if covered < total {
		return fault.Corrupt(fault.KindEntry, "does not have sufficient slices: %d of %d elements are stored", covered, total)
	}
	if total > 0 && !coversOnce(shape, all) {
		return overlapError(all) // as many elements as there are, so a hole is an overlap too
	}
	return nil
}

// overlapError names the first slice that shares elements with an earlier one,
// if it is found soon; that there is one is known.
func overlapError(all []Slice) error {
	pairs := 0
	for i, s := range all {
		if len(s) != len(all[0]) {
			break
		}
		if pairs += i; pairs > maxPairs {
			break
		}
		for _, other := range all[:i] {
			if other.overlaps(s) {
				return fault.Corrupt(fault.KindOverlap, "Overlapping slices: existing slice = %s, new slice = %s", other, s)
			}
		}
	}
	return fault.Corrupt(fault.KindOverlap, "Overlapping slices: there are %d", len(all))
}

// coverPrime is a prime below which random numbers and sums are, 2^61−1.
const coverPrime = 1<<61 - 1

// coversOnce reports whether slices that fit the shape hold each element exactly
// once.
//
// Where a slice begins or ends, its dimension is cut into parts, and each part
// gets a random number. A cell, which has one part of each dimension, counts as
// the product of their numbers, and a slice as the sum of its cells, which is
// the product of the sums of its parts. If each cell is in one slice, the slices
// together count as much as the whole tensor. If not, the difference of the two
// is a polynomial in the random numbers that is not zero; that it comes out as
// zero has a chance of at most rank / 2^61, whatever the file holds.
func coversOnce(shape tensor.Shape, all []Slice) bool {
	counts := make([]uint64, len(all))
	for i := range counts {
		counts[i] = 1
	}
	whole := uint64(1)
	cuts := make([]int64, 0, 2+2*len(all))
	sums := make([]uint64, 2+2*len(all)) // of the parts before each cut
	for dim, size := range shape {
		cuts = append(cuts[:0], 0, size)
		for _, s := range all {
			if start, length := s[dim].of(size); length < size {
				cuts = append(cuts, start, start+length)
			}
		}
		if len(cuts) == 2 {
			continue // all slices are whole in this dimension
		}
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		for i := 1; i < len(cuts); i++ {
			sums[i] = addMod(sums[i-1], rand.Uint64N(coverPrime))
		}
		before := func(cut int64) uint64 {
			i, _ := slices.BinarySearch(cuts, cut)
			return sums[i]
		}
		for i, s := range all {
			start, length := s[dim].of(size)
			counts[i] = mulMod(counts[i], addMod(before(start+length), coverPrime-before(start)))
		}
		whole = mulMod(whole, before(size))
	}
	sum := uint64(0)
	for _, n := range counts {
		sum = addMod(sum, n)
	}
	return sum == whole
}

// addMod adds numbers of which one is below coverPrime and the other not above.
func addMod(a, b uint64) uint64 {
	if a += b; a >= coverPrime {
		a -= coverPrime
	}
	return a
}

// mulMod multiplies numbers below coverPrime.
func mulMod(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return addMod(low&coverPrime, high<<3|low>>61)
}
