package ckpt

import (
	"context"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt/storage"
)

// news is what the file system tells of a directory, where it does.
type news struct {
	changed <-chan struct{}
	stop    func()
}

// listen begins to hear of changes, unless it has. A directory that does not exist
// yet is tried again at the next look.
func (w *watch) listen() {
	n, ok := w.dir.bucket.(storage.Notifier)
	if !ok || !w.o.Notify || w.news.changed != nil {
		return
	}
	changed, stop, err := n.Changes(strings.TrimSuffix(w.dir.base, "/"))
	if err != nil {
		return
	}
	w.news = news{changed: changed, stop: stop}
}

// wait ends after some time, or when there is news.
func (w *watch) wait(ctx context.Context, d time.Duration) error {
	err := pauseOr(ctx, d, w.news.changed)
	if w.news.changed == nil {
		return err
	}
	select {
	case _, more := <-w.news.changed: // of what ended the wait, or came since
		if !more {
			w.stopNews() // it may be there again
		}
	default:
	}
	return err
}

func (w *watch) stopNews() {
	if w.news.stop != nil {
		w.news.stop()
	}
	w.news = news{}
}
