package bundle

import (
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/foreign"
	"github.com/ckpt-go/ckpt/storage"
)

// explain adds to the error of a file that is no table what it is instead.
func explain(err error, f storage.File) error {
	var c *CorruptError
	if !errors.As(err, &c) || c.Kind != fault.KindFormat && c.Kind != fault.KindTruncated {
		return err
	}
	kind, ok := foreign.Recognise(f, f.Size())
	if !ok {
		return err
	}
	explained := *c
	if f.Size() > 0 {
		explained.Kind = fault.KindFormat
	}
	explained.Err = fmt.Errorf("%w: the file is %s", c.Err, kind)
	return &explained
}
