package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt/bundle"
)

// fingerprint tells the files of a checkpoint from others of the same names: their
// sizes and times, and the end of the index, where checksums stand. It is ""
// if there are none.
type fingerprint string

// unmarked is that of a checkpoint whose index has another name: one of
// TensorFlow's first format, or one that is just being replaced.
const unmarked fingerprint = "-"

// markedEnd is how much of an index is looked at.
const markedEnd = 4 << 10

// fingerprintOf looks at a checkpoint's index, and at the names of its data files
// if they matter.
func fingerprintOf(ctx context.Context, at place, data bool) (fingerprint, error) {
	mark, _, err := fingerprintAndTime(ctx, at, data)
	return mark, err
}

// fingerprintAndTime is fingerprintOf with the time of the newest of these files.
func fingerprintAndTime(ctx context.Context, at place, data bool) (mark fingerprint, newest time.Time, err error) {
	var b strings.Builder
	folder := at.name[:len(at.name)-len(baseName(at.name))]
	indexed := false
	for info, err := range at.bucket.List(ctx, at.name) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", newest, err
		}
		isIndex := info.Name == bundle.IndexName(at.name) || info.Name == at.name
		prefix, _, _, isData := bundle.ParseDataName(strings.TrimPrefix(info.Name, folder))
		isData = isData && folder+prefix == at.name
		indexed = indexed || isIndex
		if isIndex || isData && data {
			fmt.Fprintf(&b, "%q %d %d\n", info.Name, info.Size, info.ModTime.UnixNano())
			if info.ModTime.After(newest) {
				newest = info.ModTime
			}
		}
	}
	if !indexed {
		if exists(ctx, at) {
			return unmarked, newest, nil
		}
		return "", newest, nil
	}
	end, err := endOf(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return fingerprint(b.String()), newest, nil // of the first format
	}
	b.Write(end)
	return fingerprint(b.String()), newest, err
}

// endOf reads the end of an index.
func endOf(ctx context.Context, at place) ([]byte, error) {
	f, err := at.bucket.Open(ctx, bundle.IndexName(at.name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n := min(f.Size(), markedEnd)
	return io.ReadAll(io.NewSectionReader(f, f.Size()-n, n))
}

// notes are the problems that a watch met. One is told when it is met at two
// looks in a row: what is only being written or removed is none.
type notes struct {
	tell   func(error)
	before map[string]bool // at the look before: whether it was told
	now    map[string]bool
}

func (n *notes) add(key string, err error) {
	told, again := n.before[key]
	if again && !told && n.tell != nil {
		n.tell(err)
		n.before[key] = true
		told = true
	}
	if n.now == nil {
		n.now = make(map[string]bool)
	}
	n.now[key] = told
}

// turn ends a look.
func (n *notes) turn() { n.before, n.now = n.now, nil }
