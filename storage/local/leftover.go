package local

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// The forms of reserved names.
const (
	tempSuffix = ".ckpt-tmp"
	idLength   = 16 // lower-case hexadecimal digits
)

func tempName(base, id string) string { return "." + base + "." + id + tempSuffix }

// parseTemp takes a temporary name apart.
func parseTemp(temp string) (base, id string, ok bool) {
	rest, ok := strings.CutSuffix(temp, tempSuffix)
	if !ok || !strings.HasPrefix(rest, ".") {
		return "", "", false
	}
	dot := len(rest) - idLength - 1
	if dot < 2 || rest[dot] != '.' || !isID(rest[dot+1:]) {
		return "", "", false
	}
	return rest[1:dot], rest[dot+1:], true
}

func isID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "0123456789abcdef") == ""
}

func isTemp(base string) bool {
	_, _, ok := parseTemp(base)
	return ok
}

// Leftovers implements storage.Sweeper. It looks in the folder of the bucket,
// not in those below.
func (b *Bucket) Leftovers(ctx context.Context) iter.Seq2[storage.Leftover, error] {
	return func(yield func(storage.Leftover, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(storage.Leftover{}, err)
			return
		}
		dir, err := b.folder("list", "")
		if err != nil {
			yield(storage.Leftover{}, err)
			return
		}
		defer dir.Close()
		found, err := b.readFolder(dir, ".", isTemp)
		if err != nil {
			yield(storage.Leftover{}, err)
			return
		}
		for _, entry := range found {
			temp := entry.Name()
			if err := ctx.Err(); err != nil {
				yield(storage.Leftover{}, err)
				return
			}
			f, err := openDead(dir, temp)
			if err != nil {
				continue // alive, gone, or none of ours
			}
			info, err := f.Stat()
			f.Close()
			if err != nil {
				continue
			}
			name, id, _ := parseTemp(temp)
			if !yield(storage.Leftover{Name: name, ID: id, Size: info.Size()}, nil) {
				return
			}
		}
	}
}

// openDead opens and locks a temporary file whose writer is gone.
func openDead(dir folder, temp string) (*os.File, error) {
	info, err := dir.Lstat(temp)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoLeftover
	}
	f, err := dir.OpenFile(temp, os.O_RDWR|openFlags, 0)
	if err != nil {
		return nil, err
	}
	err = lockFile(f)
	if errors.Is(err, errLocked) {
		err = errAlive
	} else if err == nil && !isFile(dir, temp, f) {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// RemoveLeftover implements storage.Sweeper. The file of a writer that lives
// is not removed.
func (b *Bucket) RemoveLeftover(ctx context.Context, l storage.Leftover) error {
	const op = "remove leftover"
	if err := b.check(ctx, op, l.Name); err != nil {
		return err
	}
	if !isID(l.ID) {
		return names.Invalid(op, l.Name, errNoLeftover)
	}
	dir, err := b.folder(op, l.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	temp := names.Join(path.Dir(l.Name), tempName(path.Base(l.Name), l.ID))
	f, err := openDead(dir, temp)
	if err != nil {
		return b.fail(op, temp, err)
	}
	defer f.Close()
	if err := dir.Remove(temp); err != nil {
		return b.fail(op, temp, err)
	}
	return nil
}
