package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/transfer"
)

// transfer is the command export or import: [-format FORMAT] USER DIR. The
// node itself reads and writes the directory.
func (c *command) transfer(args []string) (func(ctx context.Context) error, error) {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	format := flags.String("format", transfer.Maildir.String(), "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() != 2 {
		return nil, fmt.Errorf("usage: %s [-format maildir|mbox] USER DIR", args[0])
	}
	if _, err := transfer.ParseFormat(*format); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(flags.Arg(1))
	if err != nil {
		return nil, err
	}
	query := url.Values{"format": {*format}, "dir": {dir}}
	return c.report("/users/" + url.PathEscape(flags.Arg(0)) + "/" + args[0] + "?" + query.Encode()), nil
}

// report is a command that prints a report of the node while it is written.
// The word that the last line begins with says how it ended.
func (c *command) report(path string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		answer, err := c.call(ctx, http.MethodPost, path, nil)
		if err != nil {
			return err
		}
		defer answer.Close()
		last := ""
		lines := bufio.NewScanner(answer)
		for lines.Scan() {
			last = lines.Text()
			fmt.Fprintln(c.out, last)
		}
		if err := lines.Err(); err != nil {
			return err
		}
		if word, _, _ := strings.Cut(last, ":"); word != "ok" {
			return errReported
		}
		return nil
	}
}

// transferRun is transfer.Export or transfer.Import.
type transferRun func(context.Context, storage.Account, string, transfer.Format, transfer.Options) (transfer.Summary, error)

// transferMail answers a line per progress and, last, a summary that begins
// with "ok" or "failed".
func (c *control) transferMail(run transferRun, done string) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := c.accountName(r)
		if err != nil {
			return err
		}
		dir := r.FormValue("dir")
		format, err := transfer.ParseFormat(r.FormValue("format"))
		if err != nil || !filepath.IsAbs(dir) {
			return fmt.Errorf("%w: a format and an absolute path are needed", errBadRequest)
		}
		account, err := c.open.store.Account(r.Context(), user)
		if err != nil {
			return err
		}
		o, err := c.transferOptions(w, r, account)
		if err != nil {
			return err
		}
		sum, err := run(r.Context(), account, dir, format, o)
		if err != nil {
			fmt.Fprintf(w, "failed: %s; the same command goes on from here\n", strings.ReplaceAll(err.Error(), "\n", "; "))
			return nil
		}
		fmt.Fprintf(w, "ok: %s %d messages, %d octets, %d mailboxes\n", done, sum.Messages, sum.Octets, sum.Mailboxes)
		return nil
	}
}

func (c *control) transferOptions(w http.ResponseWriter, r *http.Request, account storage.Account) (transfer.Options, error) {
	inbox, err := account.Mailbox(r.Context(), storage.Inbox)
	if err != nil {
		return transfer.Options{}, err
	}
	// Each account and directory have a journal, so that a later import knows
	// what is done. A new account of an old name has another INBOX.
	source := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", inbox.ID(), r.FormValue("format"), r.FormValue("dir")))
	flush := http.NewResponseController(w).Flush
	return transfer.Options{
		Journal: c.open.data.File("imports", hex.EncodeToString(source[:16])),
		Progress: func(p transfer.Progress) {
			fmt.Fprintln(w, progressLine(p))
			_ = flush() // who doesn't listen any more ends the context
		},
		Note: func(mailbox, text string) { fmt.Fprintf(w, "note: %s: %s\n", mailbox, text) },
	}, nil
}

func progressLine(p transfer.Progress) string {
	line := fmt.Sprintf("%s: %d messages", p.Mailbox, p.Messages)
	if p.Total > 0 {
		line = fmt.Sprintf("%s: %d of %d messages", p.Mailbox, p.Messages, p.Total)
	}
	if p.Size > 0 {
		return fmt.Sprintf("%s, %d of %d octets", line, p.Octets, p.Size)
	}
	return fmt.Sprintf("%s, %d octets", line, p.Octets)
}
