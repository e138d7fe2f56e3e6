package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/posthouse-mail/posthouse/storage"
)

// listQuotas answers a line per account.
func (c *control) listQuotas(w http.ResponseWriter, r *http.Request) error {
	t := quotaTable(w, "ACCOUNT")
	for a, err := range c.open.directory.List(r.Context()) {
		if err != nil {
			return err
		}
		limit, used, err := c.open.store.Quota(r.Context(), a.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		quotaRow(t, a.Name, limit, used)
	}
	return t.Flush()
}

// showQuota answers a line for an account and one for each of its mailboxes.
func (c *control) showQuota(w http.ResponseWriter, r *http.Request) error {
	name, account, err := c.quotas(r)
	if err != nil {
		return err
	}
	limit, used, err := account.Quota(r.Context())
	if err != nil {
		return err
	}
	boxes, err := account.Mailboxes(r.Context())
	if err != nil {
		return err
	}
	t := quotaTable(w, "ACCOUNT OR MAILBOX")
	quotaRow(t, name, limit, used)
	for _, m := range boxes {
		if m.ID == 0 {
			continue
		}
		limit, used, err := account.MailboxQuota(r.Context(), m.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		quotaRow(t, strconv.Quote(m.Name), limit, used)
	}
	return t.Flush()
}

func quotaTable(w http.ResponseWriter, title string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tFULL\tBYTES\tOF\tMESSAGES\tOF\tMAILBOXES\tOF\n", title)
	return t
}

// quotaRow writes what there is of each bound; "-" is no bound.
func quotaRow(t *tabwriter.Writer, name string, limit, used storage.Quota) {
	full := "-"
	if limit != (storage.Quota{}) {
		full = fmt.Sprintf("%d%%", limit.Percent(used))
	}
	of := func(n int64, text string) string {
		if n <= 0 {
			return "-"
		}
		return text
	}
	fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\t%d\t%s\n", name, full,
		used.Bytes, of(limit.Bytes, size(limit.Bytes).String()),
		used.Messages, of(limit.Messages, strconv.FormatInt(limit.Messages, 10)),
		used.Mailboxes, of(limit.Mailboxes, strconv.FormatInt(limit.Mailboxes, 10)))
}

// quotaAccount is an account with its bounds.
type quotaAccount struct {
	storage.Account
	storage.Quotas
}

// quotas returns the account of a request.
func (c *control) quotas(r *http.Request) (name string, a quotaAccount, err error) {
	if name, a.Account, err = c.mailboxes(r); err != nil {
		return "", a, err
	}
	a.Quotas, _ = storage.As[storage.Quotas](a.Account) // which the embedded store has
	return name, a, nil
}

// setQuota gives an account, or one of its mailboxes, bounds of its own. What
// the request does not name stays as it is.
func (c *control) setQuota(_ http.ResponseWriter, r *http.Request) error {
	_, a, err := c.quotas(r)
	if err != nil {
		return err
	}
	values := r.URL.Query()
	mailbox := values.Get("mailbox")
	delete(values, "mailbox")
	if len(values) == 0 {
		return fmt.Errorf("%w: set which of bytes, messages and mailboxes?", errBadRequest)
	}
	limit, err := a.limit(r.Context(), mailbox)
	if err != nil {
		return err
	}
	for key, v := range values {
		if err := setBound(&limit, key, v); err != nil {
			return err
		}
	}
	return a.set(r.Context(), mailbox, &limit)
}

// limit returns what bounds a mailbox, or the account when the name is empty.
func (a quotaAccount) limit(ctx context.Context, mailbox string) (limit storage.Quota, err error) {
	if mailbox == "" {
		limit, _, err = a.Quota(ctx)
	} else {
		limit, _, err = a.MailboxQuota(ctx, mailbox)
	}
	return limit, err
}

func (a quotaAccount) set(ctx context.Context, mailbox string, q *storage.Quota) error {
	if mailbox == "" {
		return a.SetQuota(ctx, q)
	}
	return a.SetMailboxQuota(ctx, mailbox, q)
}

func setBound(q *storage.Quota, key string, values []string) error {
	fields := map[string]*int64{"bytes": &q.Bytes, "messages": &q.Messages, "mailboxes": &q.Mailboxes}
	field := fields[key]
	switch {
	case field == nil:
		return fmt.Errorf("%w: %q is none of bytes, messages, mailboxes and mailbox", errBadRequest, key)
	case len(values) != 1:
		return fmt.Errorf("%w: %s is set twice", errBadRequest, key)
	case key == "bytes":
		var n size
		if err := n.UnmarshalText([]byte(values[0])); err != nil {
			return fmt.Errorf("%w: %w", errBadRequest, err)
		}
		*field = int64(n)
		return nil
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%w: %s is %q", errBadRequest, key, values[0])
	}
	*field = n
	return nil
}

// resetQuota takes the bounds of an account, or of a mailbox, away.
func (c *control) resetQuota(_ http.ResponseWriter, r *http.Request) error {
	_, a, err := c.quotas(r)
	if err != nil {
		return err
	}
	values := r.URL.Query()
	mailbox := values.Get("mailbox")
	delete(values, "mailbox")
	if len(values) > 0 {
		return fmt.Errorf("%w: only a mailbox can be named", errBadRequest)
	}
	return a.set(r.Context(), mailbox, nil)
}

// withSettings is a command with words like key=value.
func (c *command) withSettings(method, path string, words []string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		values := make(url.Values)
		for _, w := range words {
			key, value, ok := strings.Cut(w, "=")
			if !ok {
				return fmt.Errorf("%q is not KEY=VALUE", w)
			}
			values.Add(key, value)
		}
		return c.print(ctx, method, path+"?"+values.Encode(), nil)
	}
}
