package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// RetentionConfig says how long mail stays that nobody wants, and how long it
// can be restored after that. It stands among the keys of StorageConfig.
type RetentionConfig struct {
	Retention  age `toml:"retention"`   // how long expunged messages can be restored with undelete, "7d"; "0s": not at all, they are gone at once
	PurgeTrash age `toml:"purge_trash"` // how long messages stay in mailboxes for \Trash since they came there; "0s": for ever
	PurgeJunk  age `toml:"purge_junk"`  // and for \Junk
}

// defaultRetention empties Trash and Junk after a month, and keeps nothing that
// was expunged: who expunges means it, and disks are finite.
func defaultRetention() RetentionConfig {
	return RetentionConfig{PurgeTrash: age(30 * day), PurgeJunk: age(30 * day)}
}

// apply adds what the configuration says to the settings of a domain.
func (c *RetentionConfig) apply(s *storage.Settings) {
	s.Retention = time.Duration(c.Retention)
	s.Purge = []storage.Purge{
		{Attr: imap.MailboxAttrTrash, Age: time.Duration(c.PurgeTrash)}, {Attr: imap.MailboxAttrJunk, Age: time.Duration(c.PurgeJunk)},
	}
}

func (c *RetentionConfig) validate() error {
	if min(c.Retention, c.PurgeTrash, c.PurgeJunk) < 0 {
		return errors.New("retention, purge_trash or purge_junk is negative")
	}
	return nil
}

const day = 24 * time.Hour

// age is a time.Duration that may be written in days, as "30d".
type age time.Duration

func (a *age) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n > 100*365 {
			return fmt.Errorf("%q is not a number of days", text)
		}
		*a = age(n) * age(day)
		return nil
	}
	return (*config.Duration)(a).UnmarshalText(text)
}

func (a age) MarshalText() ([]byte, error) {
	if d := time.Duration(a); d != 0 && d%day == 0 {
		return fmt.Appendf(nil, "%dd", d/day), nil
	}
	return config.Duration(a).MarshalText()
}

// retainer returns the account of the request.
func (c *control) retainer(r *http.Request) (storage.Retainer, error) {
	_, a, err := c.mailboxes(r)
	if err != nil {
		return nil, err
	}
	k, ok := storage.As[storage.Retainer](a)
	if !ok {
		return nil, errors.New("the store retains nothing")
	}
	return k, nil
}

// retainedLine is a line of the answer of listRetained.
type retainedLine struct {
	storage.Retained
	Subject string
}

// listRetained answers a JSON object per message and line.
func (c *control) listRetained(w http.ResponseWriter, r *http.Request) error {
	k, err := c.retainer(r)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	for m, err := range k.Retained(r.Context()) {
		if err != nil {
			return err
		}
		subject, err := subjectOf(r.Context(), k, m.ID)
		if errors.Is(err, storage.ErrNoMessage) { // its time is over now
			continue
		}
		if err != nil {
			return err
		}
		if err := e.Encode(retainedLine{m, subject}); err != nil {
			return err
		}
	}
	return nil
}

// subjectOf reads the subject of a retained message, if it is near the
// message's beginning.
func subjectOf(ctx context.Context, k storage.Retainer, id storage.RetainedID) (string, error) {
	body, err := k.OpenRetained(ctx, id)
	if err != nil {
		return "", err
	}
	defer body.Close()
	head, err := io.ReadAll(io.LimitReader(message.NewReader(body), 32<<10))
	if err != nil {
		return "", err
	}
	index, err := message.Parse(message.FromBytes(head), message.Limits{})
	if err != nil || index.Envelope == nil {
		return "", err
	}
	return message.DecodeText(index.Envelope.Subject), nil
}

// restoreBatch is how many messages are put back as one change when all are.
const restoreBatch = 500

func (c *control) restore(w http.ResponseWriter, r *http.Request) error {
	into := r.URL.Query().Get("into")
	n, err := c.eachBatch(r, func(k storage.Retainer, ids []storage.RetainedID) (int, error) {
		return k.Restore(r.Context(), into, ids...)
	})
	if err == nil {
		fmt.Fprintf(w, "%d messages are restored\n", n)
	}
	return err
}

func (c *control) discard(w http.ResponseWriter, r *http.Request) error {
	n, err := c.eachBatch(r, func(k storage.Retainer, ids []storage.RetainedID) (int, error) {
		return k.Discard(r.Context(), ids...)
	})
	if err == nil {
		fmt.Fprintf(w, "%d messages are gone for good\n", n)
	}
	return err
}

// eachBatch calls f for the messages of the request, or for all, some at a time.
func (c *control) eachBatch(r *http.Request, f func(storage.Retainer, []storage.RetainedID) (int, error)) (n int, err error) {
	k, err := c.retainer(r)
	if err != nil {
		return 0, err
	}
	var ids []storage.RetainedID
	for _, s := range r.URL.Query()["id"] {
		id, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %q is not the number of a message", errBadRequest, s)
		}
		ids = append(ids, storage.RetainedID(id))
	}
	if len(ids) > 0 {
		n, err = f(k, ids)
		return n, refusal(n, err)
	}
	for m, err := range k.Retained(r.Context()) {
		if err != nil {
			return n, refusal(n, err)
		}
		if ids = append(ids, m.ID); len(ids) < restoreBatch {
			continue
		}
		done, err := f(k, ids)
		if n += done; err != nil {
			return n, refusal(n, err)
		}
		ids = ids[:0]
	}
	done, err := f(k, ids)
	return n + done, refusal(n, err)
}

// refusal says of an error that the request is to blame, and what was done
// before it.
func refusal(done int, err error) error {
	for _, kind := range []error{storage.ErrBadName, storage.ErrBadKind, storage.ErrBadACL, storage.ErrOverQuota, storage.ErrLimit} {
		if errors.Is(err, kind) {
			err = fmt.Errorf("%w: %w", errBadRequest, err)
		}
	}
	if err != nil && done > 0 {
		err = fmt.Errorf("after %d messages: %w", done, err)
	}
	return err
}

func (c *control) purge(w http.ResponseWriter, r *http.Request) error {
	n, err := c.open.store.Purge(r.Context())
	if err == nil {
		fmt.Fprintf(w, "%d old messages are expunged\n", n)
	}
	return err
}

// undelete is the commands that begin with that word.
func (c *command) undelete(args []string) (func(ctx context.Context) error, error) {
	flags := flag.NewFlagSet("undelete", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	into := flags.String("into", "", "")
	all := flags.Bool("all", false, "")
	if len(args) < 2 {
		return nil, errUndelete
	}
	verb, path := args[0], "/retained/"+url.PathEscape(args[1])
	if err := flags.Parse(args[2:]); err != nil {
		return nil, err
	}
	query := url.Values{"id": flags.Args()}
	switch {
	case verb == "list" && len(args) == 2:
		return c.undeleteList(path), nil
	case verb == "restore" && !*all:
		query.Set("into", *into)
		return c.simple(http.MethodPost, path+"/restore?"+query.Encode()), nil
	case verb == "discard" && *into == "" && *all == (flags.NArg() == 0):
		return c.simple(http.MethodDelete, path+"?"+query.Encode()), nil
	}
	return nil, errUndelete
}

var errUndelete = errors.New("unknown use of undelete; -help shows the commands")

func (c *command) undeleteList(path string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		answer, err := c.call(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		defer answer.Close()
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tEXPUNGED\tUNTIL\tMAILBOX\tSIZE\tDATE\tSUBJECT")
		for d := json.NewDecoder(answer); ; {
			var m retainedLine
			if err := d.Decode(&m); errors.Is(err, io.EOF) {
				return table.Flush()
			} else if err != nil {
				return err
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", m.ID, m.Expunged.Local().Format(time.DateTime), m.Until.Local().Format(time.DateTime),
				printable(m.Mailbox), m.Size, m.Date.Format(time.DateOnly), printable(m.Subject))
		}
	}
}

// printable is text of strangers for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
