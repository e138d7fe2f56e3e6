package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// snapshot is the command snapshot DIR. The node itself writes the directory.
func (c *command) snapshot(dir string) (func(ctx context.Context) error, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return c.report("/snapshot?" + url.Values{"dir": {dir}}.Encode()), nil
}

// snapshotData answers a line per progress, at most one a second, and last a
// summary that begins with "ok" or "failed".
func (c *control) snapshotData(w http.ResponseWriter, r *http.Request) error {
	dir := r.FormValue("dir")
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%w: an absolute path is needed", errBadRequest)
	}
	flush := http.NewResponseController(w).Flush
	told, size := time.Now(), int64(0)
	err := c.open.snapshot(r.Context(), dir, func(done, total int64) {
		size = done
		if time.Since(told) >= time.Second {
			told = time.Now()
			fmt.Fprintf(w, "%d of %d octets\n", done, total)
			_ = flush() // who doesn't listen any more ends the context
		}
	})
	if err != nil {
		fmt.Fprintf(w, "failed: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return nil
	}
	fmt.Fprintf(w, "ok: %d octets of mail in %s\n", size, dir)
	return nil
}

// snapshot copies the data directory into dir, which must not exist: the mail
// with the queue as of one moment, and then who there is. A node serves the
// copy when it is its data directory.
func (o *opened) snapshot(ctx context.Context, dir string, progress func(done, total int64)) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s exists", dir)
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(unfinished))
		}
	}()
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	if err := o.store.Backup(ctx, filepath.Join(unfinished, "mail"), progress); err != nil {
		return err
	}
	for _, name := range [...]string{"directory.jsonl", "sasl.key", "tls/cert.pem", "tls/key.pem"} {
		err := copyFile(filepath.Join(unfinished, name), o.data.File(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := syncDirectory(unfinished); err != nil {
		return err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(dir))
}

// copyFile copies a small file, durably.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close(), syncDirectory(filepath.Dir(to)))
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
