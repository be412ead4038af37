package bundle

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt/table"
)

// entry is an Entry with its key.
type entry struct {
	key string
	Entry
}

// writeIndex writes the table of an index. It sorts the entries.
func writeIndex(to io.Writer, h *Header, entries []*entry) error {
	out := bufio.NewWriter(to)
	t := table.NewWriter(out, nil)
	value := EncodeHeader(nil, h)
	if err := t.Add([]byte(headerKey), value); err != nil {
		return err
	}
	sortEntries(entries)
	var key []byte
	for _, e := range entries {
		key = append(key[:0], e.key...)
		value = EncodeEntry(value[:0], &e.Entry)
		if err := t.Add(key, value); err != nil {
			return fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(e.key)), err)
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return out.Flush()
}

// sortEntries puts entries into the order of the index. Comparing the eight
// bytes after what all keys begin with settles most comparisons of a hundred
// thousand keys without looking at the keys themselves.
func sortEntries(order []*entry) {
	type item struct {
		head uint64
		e    *entry
	}
	items := make([]item, len(order))
	common := math.MaxInt
	for _, e := range order {
		common = shared(e.key, order[0].key, common)
	}
	for i, e := range order {
		var head [8]byte
		copy(head[:], e.key[common:])
		items[i] = item{binary.BigEndian.Uint64(head[:]), e}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(a.e.key, b.e.key)
	})
	for i := range items {
		order[i] = items[i].e
	}
}

// shared returns how many bytes, at most limit, two keys have in common at
// their beginning.
func shared(a, b string, limit int) int {
	limit = min(limit, len(a), len(b))
	for i := range limit {
		if a[i] != b[i] {
			return i
		}
	}
	return limit
}
