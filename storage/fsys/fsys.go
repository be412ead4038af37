// Package fsys makes a read-only bucket of an fs.FS: files embedded in the
// program, or in a zip archive.
package fsys

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// step is how much memory a file's claimed size may reserve ahead of reading.
const step = 1 << 20

var errNotRegular = errors.New("not a regular file")

type bucket struct{ fsys fs.FS }

// New returns a bucket that reads files of fsys. Create and Remove return
// errors.ErrUnsupported. An open file is read in place if the fs.File is an
// io.ReaderAt, otherwise Open reads it into memory. Names that are not UTF-8
// cannot exist in an fs.FS. The bucket is as safe for concurrent use as fsys.
func New(fsys fs.FS) storage.Bucket { return &bucket{fsys} }

// Open implements storage.Bucket.
func (b *bucket) Open(ctx context.Context, name string) (storage.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := names.Check("open", name); err != nil {
		return nil, err
	}
	f, err := b.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if r, ok := f.(io.ReaderAt); ok {
		return placed{r, f, info.Size()}, nil
	}
	defer f.Close()
	data, err := readAll(ctx, f, info.Size())
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: cause(err)}
	}
	return loaded{bytes.NewReader(data)}, nil
}

// readAll reads r to its end. The size is a claim and reserves little.
func readAll(ctx context.Context, r io.Reader, size int64) ([]byte, error) {
	// One byte more lets the end be seen without growing.
	data := make([]byte, 0, min(max(size, 0), step)+1)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, 1)
		}
		n, err := r.Read(data[len(data):min(cap(data), len(data)+step)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// cause takes the path off an error that is about to get one.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Create implements storage.Bucket; it returns errors.ErrUnsupported.
func (b *bucket) Create(_ context.Context, name string, _ *storage.CreateOptions) (storage.Writer, error) {
	return nil, &fs.PathError{Op: "create", Path: name, Err: errors.ErrUnsupported}
}

// Remove implements storage.Bucket; it returns errors.ErrUnsupported.
func (b *bucket) Remove(_ context.Context, name string) error {
	return &fs.PathError{Op: "remove", Path: name, Err: errors.ErrUnsupported}
}

// List implements storage.Bucket.
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(storage.Info{}, err)
			return
		}
		dir, base, err := names.Folder(prefix)
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		entries, err := fs.ReadDir(b.fsys, dir)
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		slices.SortFunc(entries, func(x, y fs.DirEntry) int { return cmp.Compare(x.Name(), y.Name()) })
		for _, entry := range entries {
			if entry.IsDir() || !strings.HasPrefix(entry.Name(), base) {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(storage.Info{}, err)
				return
			}
			name := names.Join(dir, entry.Name())
			info, err := fs.Stat(b.fsys, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile, or a link to nothing
			}
			if err != nil {
				yield(storage.Info{}, err)
				return
			}
			if !info.Mode().IsRegular() {
				continue
			}
			if !yield(storage.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// placed reads an fs.File where it is.
type placed struct {
	io.ReaderAt
	io.Closer
	size int64
}

// Size implements storage.File.
func (f placed) Size() int64 { return f.size }

// loaded is a file read into memory.
type loaded struct{ *bytes.Reader }

// Close implements storage.File.
func (loaded) Close() error { return nil }
