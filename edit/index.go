package edit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// index is what could be had of an index.
type index struct {
	header *bundle.Header // nil if it is lost
	items  []bundle.Item
	lost   []*ckpt.CorruptError
}

// What all names of an index may take, beside its size, as for a bundle.Reader.
const (
	namesBase   = 1 << 20
	namesFactor = 32
)

// parseIndex reads the entries that are intact.
func parseIndex(data []byte) *index {
	x := new(index)
	names, limit := 0, namesBase+namesFactor*len(data)
	lose := func(err error) {
		c := *ckpt.ProblemOf(err)
		x.lost = append(x.lost, &c)
	}
	for e, err := range table.Salvage(bytes.NewReader(data), int64(len(data)), nil) {
		if err != nil {
			lose(err)
			continue
		}
		// A key stands in a file by what it does not share with the one before.
		limit += namesFactor * len(e.Value)
		if names += len(e.Key); names > limit {
			lose(fault.Corrupt(fault.KindEntry, "the names of tensors are too long for a file of this size"))
			return x
		}
		if len(e.Key) == 0 {
			h, err := bundle.DecodeHeader(e.Value)
			if err != nil {
				lose(err)
				continue
			}
			x.header = &h
			continue
		}
		entry, err := bundle.DecodeEntry(e.Value)
		if err != nil {
			lose(fault.Locate(err, "", string(e.Key)))
			continue
		}
		_, _, slice := bundle.DecodeSliceKey(string(e.Key))
		x.items = append(x.items, bundle.Item{Key: string(e.Key), Entry: entry, IsSlice: slice})
	}
	return x
}

// whole tells whether all entries are there.
func (x *index) whole() bool { return x.header != nil && len(x.lost) == 0 }

// encode writes the entries as TensorFlow writes an index.
func (x *index) encode() ([]byte, error) {
	var out bytes.Buffer
	w := table.NewWriter(&out, nil)
	if err := w.Add(nil, bundle.EncodeHeader(nil, x.header)); err != nil {
		return nil, err
	}
	for i := range x.items {
		it := &x.items[i]
		if err := w.Add([]byte(it.Key), bundle.EncodeEntry(nil, &it.Entry)); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// untouched tells whether nothing at all is wrong with an index.
func untouched(data []byte) bool {
	t, err := table.NewReader(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		return false
	}
	for _, err := range t.All() {
		if err != nil {
			return false
		}
	}
	for range t.CheckUnread() {
		return false
	}
	return true
}

// readIndex finds out what the index was. It leaves its bytes in the overlay.
func (j *job) readIndex(ctx context.Context) error {
	name := bundle.IndexName(j.from.name)
	data, err := j.readSource(ctx)
	if err != nil {
		return err
	}
	j.found = data
	if j.recorded, err = ckpt.RecordedMetadata(ctx, j.from.prefix, j.o.open()); err != nil {
		j.recorded = nil
		switch {
		case ctx.Err() != nil || unreadable(err) != nil:
			return err
		case !errors.Is(err, fs.ErrNotExist):
			j.out.MetadataProblem = ckpt.ProblemOf(err)
		}
	}
	j.index = parseIndex(data)
	j.out.Index.How = Intact
	if !j.index.whole() || !j.bind(data) && !untouched(data) {
		if data, err = j.repairIndex(ctx, data); err != nil {
			return err
		}
	} else if j.meta == nil && len(j.recorded) > 0 {
		j.out.MetadataProblem = otherIndex(j.from)
	}
	j.indexBytes = data
	j.over.put(name, data)
	return nil
}

// otherIndex says that the metadata, and the SHA-256 in it, count for nothing.
func otherIndex(at place) *ckpt.CorruptError {
	c := fault.Corrupt(fault.KindMissing, "it belongs to another checkpoint that had this name, or this index does: none of its SHA-256 is compared")
	c.File = baseName(at.name) + metadataSuffix
	return c
}

// readSource reads the index of the source, nil if there is none.
func (j *job) readSource(ctx context.Context) ([]byte, error) {
	data, err := readAll(ctx, j.from.bucket, bundle.IndexName(j.from.name), maxIndex)
	if err != nil && ctx.Err() == nil && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// checkInPlace makes sure that the source is what it was: what looks like damage may
// be a program that writes over it, or removes it.
func (j *job) checkInPlace(ctx context.Context) error {
	now, err := j.readSource(ctx)
	if err == nil && !bytes.Equal(now, j.found) {
		err = bundle.ErrReplaced
	}
	return err
}

// bind looks for the metadata of an index.
func (j *job) bind(data []byte) bool {
	sum := sha256.Sum256(data)
	for _, m := range j.recorded {
		if want, ok := m.IndexSHA256(); ok && want == sum {
			j.meta = m
			return true
		}
	}
	return false
}

// repairIndex makes an index of one that is damaged.
func (j *job) repairIndex(ctx context.Context, data []byte) ([]byte, error) {
	out := &j.out.Index
	if other, err := j.indexOfDonor(ctx); other != nil || err != nil {
		return other, err
	}
	if j.index.whole() {
		fresh, err := j.index.encode() // the damage is in bytes that only lead to the entries
		out.How = Rebuilt
		j.bind(fresh)
		return fresh, err
	}
	if fixed := j.flipIndex(ctx, data); fixed != nil || ctx.Err() != nil {
		return fixed, ctx.Err()
	}
	out.How, out.Lost = Salvaged, j.index.lost
	for _, p := range out.Lost {
		p.File = baseName(bundle.IndexName(j.from.name))
	}
	if j.index.header == nil {
		if err := j.headerOfDonor(ctx); err != nil {
			return nil, err
		}
	}
	return j.index.encode()
}

// indexOfDonor is the same index, by its SHA-256, beside another checkpoint: a
// copy of this one.
func (j *job) indexOfDonor(ctx context.Context) ([]byte, error) {
	for i := range j.donors {
		if len(j.recorded) == 0 {
			break
		}
		data, err := readAll(ctx, j.donors[i].bucket, bundle.IndexName(j.donors[i].name), maxIndex)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && j.bind(data) {
			j.index = parseIndex(data)
			j.out.Index.How, j.out.Index.Donor = FromDonor, j.donors[i].prefix
			return data, nil
		}
	}
	return nil, nil
}

// headerOfDonor takes the number of data files from their names, and the byte
// order from another checkpoint.
func (j *job) headerOfDonor(ctx context.Context) error {
	shards := make(map[int]bool)
	for info, err := range j.from.bucket.List(ctx, j.from.name+".") {
		if err != nil {
			return err
		}
		if p, _, n, ok := bundle.ParseDataName(info.Name); ok && p == j.from.name {
			shards[n] = true
		}
	}
	for _, d := range j.donors {
		rd, err := bundle.Open(ctx, d.bucket, d.name, nil)
		if err != nil {
			continue
		}
		h := rd.Header()
		rd.Close()
		if shards[int(h.NumShards)] && len(shards) == 1 && len(j.index.items) > 0 {
			j.index.header, j.out.Index.Donor = &h, d.prefix
			return nil
		}
	}
	c := fault.Corrupt(fault.KindFormat, "the first block of the index, which says how many data files there are and in which byte order, is lost; "+
		"a copy of this checkpoint may help as a donor, or, where other blocks are intact, another checkpoint with as many data files")
	c.File = baseName(bundle.IndexName(j.from.name))
	return c
}

// flipIndex looks for single flipped bits, one in each damaged block, that give an
// index with a recorded SHA-256. Without such a record the one solution there is
// counts if the risk is accepted.
func (j *job) flipIndex(ctx context.Context, data []byte) []byte {
	s := &indexSearch{j: j, ctx: ctx, budget: 256}
	s.try(bytes.Clone(data), nil, 0)
	found := s.confirmed
	how := FlippedBack
	if found == nil && len(j.recorded) == 0 && j.o.AcceptRisk && s.solutions == 1 && s.chance <= crc32c.SingleBitChance(riskLimit) {
		found, how = s.only, AtRisk
		j.out.Index.Chance = s.chance
	}
	if found == nil {
		return nil
	}
	j.index = parseIndex(found)
	j.out.Index.How, j.out.Index.Flips = how, s.flips
	return found
}

// indexSearch tries the candidates of each damaged block.
type indexSearch struct {
	j         *job
	ctx       context.Context
	budget    int
	confirmed []byte // has a recorded SHA-256
	only      []byte // the last that is whole
	solutions int
	flips     []ckpt.Flip
	chance    float64
}

func (s *indexSearch) try(data []byte, flips []ckpt.Flip, chance float64) {
	if s.budget--; s.budget < 0 || s.confirmed != nil || s.ctx.Err() != nil {
		return
	}
	x := parseIndex(data)
	if x.whole() {
		fresh, err := x.encode()
		if err != nil {
			return
		}
		s.solutions++
		s.only, s.flips, s.chance = fresh, flips, chance
		for _, candidate := range [][]byte{data, fresh} {
			if s.j.bind(candidate) {
				s.confirmed = bytes.Clone(candidate)
			}
		}
		return
	}
	var sum *fault.ChecksumError
	if len(x.lost) == 0 || !errors.As(x.lost[0], &sum) {
		return
	}
	name := baseName(bundle.IndexName(s.j.from.name))
	for _, bit := range bitsOf(sum) {
		if bit/8 >= int64(len(data)) {
			continue
		}
		data[bit/8] ^= 1 << (bit % 8)
		s.try(data, append(flips[:len(flips):len(flips)], ckpt.Flip{File: name, Offset: bit / 8, Bit: int(bit % 8)}),
			max(chance, crc32c.SingleBitChance(sum.Length+4)))
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// bitsOf are the bits of a file, counted from its beginning, each of which explains a
// checksum; one that stands in the index is not among them.
func bitsOf(sum *fault.ChecksumError) (bits []int64) {
	for _, at := range crc32c.SingleBit(sum.Stored, sum.Calculated, sum.Length) {
		bits = append(bits, 8*sum.Offset+at)
	}
	if bit, ok := crc32c.StoredBit(sum.Stored, sum.Calculated); ok && sum.At >= 0 {
		if sum.BigEndian {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 1<<bit)
			for i, v := range b {
				if v != 0 {
					bits = append(bits, 8*(sum.At+int64(i))+int64(bit%8))
				}
			}
		} else {
			bits = append(bits, 8*sum.At+int64(bit))
		}
	}
	return bits
}

func baseName(name string) string { return name[len(folder(name)):] }
