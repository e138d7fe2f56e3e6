package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/storage"
)

// mailName returns the name under which the mail of the request is kept: that
// of an account of the directory, or for "@DOMAIN" that of the public folders
// of a local domain.
func (c *control) mailName(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if !storage.IsPublic(name) {
		return c.accountName(r)
	}
	domain := mail.DomainKey(storage.Domain(name))
	local, err := c.open.directory.Local(r.Context(), domain)
	switch {
	case err != nil:
		return "", err
	case !local || name != storage.PublicAccount(storage.Domain(name)):
		return "", fmt.Errorf("%s: %w", name, directory.ErrNotLocal)
	}
	return storage.PublicAccount(domain), nil
}

// mailboxes returns what holds the mailboxes of the request.
func (c *control) mailboxes(r *http.Request) (name string, a storage.Account, err error) {
	if name, err = c.mailName(r); err != nil {
		return "", nil, err
	}
	a, err = c.open.store.Account(r.Context(), name)
	return name, a, err
}

// listMailboxes answers a line per mailbox.
func (c *control) listMailboxes(w http.ResponseWriter, r *http.Request) error {
	_, a, err := c.mailboxes(r)
	if err != nil {
		return err
	}
	boxes, err := a.Mailboxes(r.Context())
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "MAILBOX\tKIND\tUSE\tMESSAGES\tBYTES")
	for _, m := range boxes {
		if m.ID == 0 {
			continue
		}
		s, err := statusIn(r.Context(), a, m.Name)
		if errors.Is(err, storage.ErrNoMailbox) { // it was deleted meanwhile
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		fmt.Fprintf(t, "%q\t%v\t%s\t%d\t%d\n", m.Name, m.Kind, specialUse(m.Attrs), s.Messages, s.Size)
	}
	return t.Flush()
}

func statusIn(ctx context.Context, a storage.Account, mailbox string) (storage.Status, error) {
	m, err := a.Mailbox(ctx, mailbox)
	if err != nil {
		return storage.Status{}, err
	}
	return m.Status(ctx)
}

func specialUse(attrs []imap.MailboxAttr) string {
	words := make([]string, len(attrs))
	for i, a := range attrs {
		words[i] = string(a)
	}
	return cmp.Or(strings.Join(words, " "), "-")
}

func (c *control) createMailbox(_ http.ResponseWriter, r *http.Request) error {
	_, a, err := c.mailboxes(r)
	if err != nil {
		return err
	}
	var m storage.NewMailbox
	if kind := r.URL.Query().Get("kind"); kind != "" {
		err = m.Kind.UnmarshalText([]byte(kind))
	}
	if err == nil {
		err = a.Create(r.Context(), r.URL.Query().Get("mailbox"), m)
	}
	return refusal(0, err)
}

func (c *control) renameMailbox(_ http.ResponseWriter, r *http.Request) error {
	_, a, err := c.mailboxes(r)
	if err != nil {
		return err
	}
	return refusal(0, a.Rename(r.Context(), r.URL.Query().Get("mailbox"), r.URL.Query().Get("to")))
}

func (c *control) deleteMailbox(_ http.ResponseWriter, r *http.Request) error {
	_, a, err := c.mailboxes(r)
	if err != nil {
		return err
	}
	return refusal(0, a.Delete(r.Context(), r.URL.Query().Get("mailbox")))
}

// mailbox is the commands that begin with that word.
func (c *command) mailbox(args []string) (func(ctx context.Context) error, error) {
	flags := flag.NewFlagSet("mailbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	kind := flags.String("kind", "", "")
	if len(args) == 0 {
		return nil, errMailbox
	}
	verb, words := args[0], args[1:]
	if verb == "create" {
		if err := flags.Parse(words); err != nil {
			return nil, err
		}
		words = flags.Args()
	}
	path := func(query ...string) string { return pathTo("/mailboxes/", words[0], query...) }
	switch {
	case verb == "list" && len(words) == 1:
		return c.simple(http.MethodGet, path()), nil
	case verb == "create" && len(words) == 2:
		return c.simple(http.MethodPost, path("mailbox", words[1], "kind", *kind)), nil
	case verb == "rename" && len(words) == 3:
		return c.simple(http.MethodPut, path("mailbox", words[1], "to", words[2])), nil
	case verb == "delete" && len(words) == 2:
		return c.simple(http.MethodDelete, path("mailbox", words[1])), nil
	}
	return nil, errMailbox
}

var errMailbox = errors.New("unknown use of mailbox; -help shows the commands")

// pathTo returns the path of a request about an account: query is keys, each
// with its value behind it.
func pathTo(above, name string, query ...string) string {
	values := make(url.Values)
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return above + url.PathEscape(name) + "?" + values.Encode()
}
