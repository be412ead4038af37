package table_test

import (
	"encoding/binary"
	"slices"
)

// naiveBlock decodes block contents in the plainest way: every entry in full,
// every restart offset looked up. It is what fuzzing compares the package with.
func naiveBlock(contents []byte) (entries []kv, ok bool) {
	if len(contents) < 4 {
		return nil, false
	}
	count := uint64(binary.LittleEndian.Uint32(contents[len(contents)-4:]))
	rest := uint64(len(contents) - 4)
	if count*4 > rest {
		return nil, false
	}
	area := contents[:rest-count*4]
	full := map[int]bool{} // offsets of entries with a full key
	key := ""
	for at := 0; at < len(area); {
		begin := at
		var lengths [3]uint64
		for i := range lengths {
			if lengths[i], at, ok = naiveVarint(area, at); !ok {
				return nil, false
			}
		}
		left := uint64(len(area) - at)
		if lengths[0] > uint64(len(key)) || lengths[1] > left || lengths[2] > left-lengths[1] {
			return nil, false
		}
		full[begin] = lengths[0] == 0
		middle := at + int(lengths[1])
		next := key[:lengths[0]] + string(area[at:middle])
		if len(entries) > 0 && next <= key {
			return nil, false
		}
		key, at = next, middle+int(lengths[2])
		entries = append(entries, kv{key, string(area[middle:at])})
	}
	return entries, soundRestarts(contents[len(area):], int(count), full)
}

// soundRestarts reports whether count restart offsets ascend from 0 and each
// is that of an entry with a full key. A block without entries may have one.
func soundRestarts(b []byte, count int, full map[int]bool) bool {
	var restarts []int
	for i := range count {
		restarts = append(restarts, int(int64(binary.LittleEndian.Uint32(b[4*i:]))))
	}
	if len(full) == 0 {
		return count == 0 || slices.Equal(restarts, []int{0})
	}
	if count == 0 || restarts[0] != 0 {
		return false
	}
	for i, r := range restarts {
		if !full[r] || i > 0 && r <= restarts[i-1] {
			return false
		}
	}
	return true
}

// naiveVarint reads a varint of at most five bytes and 32 bits.
func naiveVarint(b []byte, at int) (v uint64, next int, ok bool) {
	for i := range 5 {
		if at+i >= len(b) {
			return 0, 0, false
		}
		v |= uint64(b[at+i]&0x7f) << (7 * i)
		if b[at+i] < 0x80 {
			return v, at + i + 1, v < 1<<32
		}
	}
	return 0, 0, false
}

// naiveHandle reads a handle of two varints of at most ten bytes and 64 bits.
func naiveHandle(b []byte) (h [2]uint64, rest []byte, ok bool) {
	for i := range h {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return h, nil, false
		}
		h[i], b = v, b[n:]
	}
	return h, b, true
}
