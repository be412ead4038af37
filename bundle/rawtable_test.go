package bundle_test

import (
	"encoding/binary"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/golang/snappy"
)

// Tables byte by byte: package table makes none that are damaged or compressed.

// cutHandle reads where a block is; what is no number counts as 0.
func cutHandle(b []byte) (offset, size uint64, rest []byte) {
	offset, n := binary.Uvarint(b)
	b = b[max(n, 0):]
	size, n = binary.Uvarint(b)
	return offset, size, b[max(n, 0):]
}

// indexEntries calls f for each entry of an index block, whose keys stand in
// full, as far as there are entries.
func indexEntries(index []byte, f func(key, handle []byte)) {
	for len(index) > 4 {
		var lens [3]uint64
		for i := range lens {
			v, n := binary.Uvarint(index)
			lens[i], index = v, index[max(n, 0):]
		}
		left := uint64(len(index))
		if lens[1] > left || lens[2] > left-lens[1] || lens[1]+lens[2] == 0 {
			return
		}
		f(index[:lens[1]], index[lens[1]:lens[1]+lens[2]])
		index = index[lens[1]+lens[2]:]
	}
}

// repairTable gives the blocks that a damaged table points at sound checksums,
// as far as its handles lead anywhere.
func repairTable(file []byte) {
	if len(file) < 48 {
		return
	}
	block := func(handle []byte) []byte {
		offset, size, _ := cutHandle(handle)
		all := uint64(len(file))
		if offset > all || size > all-offset || all-offset-size < 5 {
			return nil
		}
		end := offset + size
		binary.LittleEndian.PutUint32(file[end+1:], crc32c.Mask(crc32c.Value(file[offset:end+1])))
		return file[offset:end]
	}
	copy(file[len(file)-8:], "\x57\xfb\x80\x8b\x24\x75\x47\xdb")
	_, _, rest := cutHandle(file[len(file)-48:])
	indexEntries(block(rest), func(_, handle []byte) { block(handle) })
}

// compressTable returns a sound plain table with its data blocks and its index
// compressed.
func compressTable(file []byte) []byte {
	var out []byte
	block := func(contents []byte, typ byte) (handle []byte) {
		if typ == 1 {
			contents = snappy.Encode(nil, contents)
		}
		handle = binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(out))), uint64(len(contents)))
		start := len(out)
		out = append(append(out, contents...), typ)
		out = binary.LittleEndian.AppendUint32(out, crc32c.Mask(crc32c.Value(out[start:])))
		return handle
	}
	_, _, rest := cutHandle(file[len(file)-48:])
	at, size, _ := cutHandle(rest)
	var index, restarts []byte
	count := uint32(0)
	old := file[at : at+size]
	blocks := binary.LittleEndian.Uint32(old[len(old)-4:])
	indexEntries(old[:len(old)-4*int(blocks)], func(key, handle []byte) {
		if count == blocks {
			return
		}
		offset, size, _ := cutHandle(handle)
		handle = block(file[offset:offset+size], 1)
		restarts = binary.LittleEndian.AppendUint32(restarts, uint32(len(index)))
		count++
		index = binary.AppendUvarint(append(index, 0), uint64(len(key)))
		index = binary.AppendUvarint(index, uint64(len(handle)))
		index = append(append(index, key...), handle...)
	})
	index = binary.LittleEndian.AppendUint32(append(index, restarts...), count)
	footer := append(block([]byte{0, 0, 0, 0, 1, 0, 0, 0}, 0), block(index, 1)...)
	footer = append(footer, make([]byte, 40-len(footer))...)
	return append(append(out, footer...), "\x57\xfb\x80\x8b\x24\x75\x47\xdb"...)
}
