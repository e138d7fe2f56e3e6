package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/posthouse-mail/posthouse/storage"
)

// accountItself stands for an account in place of a mailbox: its list is above
// those of all its mailboxes. No mailbox can have that name.
const accountItself = "."

// listOwner is what has the access control list that a request is about.
type listOwner struct {
	storage.ACLs
	user    string
	mailbox string // "": the account itself
}

// lists returns what the request is about.
func (c *control) lists(r *http.Request) (o listOwner, err error) {
	var a storage.Account
	if o.user, a, err = c.mailboxes(r); err != nil {
		return o, err
	}
	if o.mailbox = r.URL.Query().Get("mailbox"); o.mailbox == accountItself {
		o.mailbox = ""
	}
	o.ACLs, _ = storage.As[storage.ACLs](a) // which the embedded store has
	return o, nil
}

// showACL answers how lists of the domain are read, and a line per entry.
func (c *control) showACL(w http.ResponseWriter, r *http.Request) error {
	o, err := c.lists(r)
	if err != nil {
		return err
	}
	list, err := o.ACL(r.Context(), o.mailbox)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "mode %v\n", c.modeOf(o.user))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ALLOWED\tDENIED\tLEVEL\tIDENTIFIER")
	for _, e := range list {
		fmt.Fprintf(t, "%s\t%s\t%v\t%s\n", letters(e.Allow), letters(e.Deny), e.Level(), printable(e.Identifier))
	}
	return t.Flush()
}

func (c *control) modeOf(user string) aclMode {
	return aclMode(c.open.settings(storage.Domain(user)).ACL)
}

func letters(r storage.Rights) string { return cmp.Or(r.String(), "-") }

// setACL changes the entry of an identifier, as SETACL does (RFC 4314 §3.1), or
// replaces it by that of a level.
func (c *control) setACL(_ http.ResponseWriter, r *http.Request) error {
	id, rights := r.URL.Query().Get("identifier"), r.URL.Query().Get("rights")
	id, err := c.identifier(r.Context(), id)
	if err != nil {
		return err
	}
	return c.changeACL(r, func(list storage.ACL) (storage.ACL, error) {
		if level, ok := levelOf(rights); ok {
			return list.With(level.Entry(id))
		}
		change, err := storage.ParseRightsChange(rights)
		if err != nil {
			return nil, err
		}
		return list.Change(id, change)
	})
}

// removeACL takes the rights of an identifier away, as DELETEACL does (RFC 4314
// §3.2). Those who are no longer in the directory can be named as the list
// names them.
func (c *control) removeACL(_ http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("identifier")
	known, unknown := c.identifier(r.Context(), id)
	return c.changeACL(r, func(list storage.ACL) (storage.ACL, error) {
		for _, id := range []string{id, known} {
			if without, err := list.Change(id, storage.RightsChange{}); err == nil && !without.Equal(list) {
				return without, nil
			}
		}
		return nil, cmp.Or(unknown, fmt.Errorf("%w: the list has no %q", errBadRequest, id))
	})
}

// changeACL replaces the list that the request is about. One command at a time
// does, so that none undoes what another did.
func (c *control) changeACL(r *http.Request, change func(storage.ACL) (storage.ACL, error)) error {
	o, err := c.lists(r)
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	list, err := o.ACL(r.Context(), o.mailbox)
	if err == nil {
		list, err = change(list)
	}
	if err == nil {
		err = o.SetACL(r.Context(), o.mailbox, list)
	}
	return refusal(0, err)
}

// identifier returns what an operator wrote as lists have it: with the name of
// an account as the directory has it, so that nobody is left out by a slip. A
// "-" before it, for negative rights, stays.
func (c *control) identifier(ctx context.Context, text string) (string, error) {
	id, negative := strings.CutPrefix(text, "-")
	if id == storage.Anyone {
		return text, nil
	}
	if strings.HasPrefix(id, storage.GroupPrefix) {
		return strings.TrimSuffix(text, id) + access{c.open}.Identifier(id), nil
	}
	a, err := c.open.directory.Account(ctx, id)
	if err != nil {
		return "", fmt.Errorf("%s: %w", id, err)
	}
	if negative {
		return "-" + a.Name, nil
	}
	return a.Name, nil
}

// levelOf reads the name of a level, which may have "-" in place of spaces.
// Custom is no choice of rights.
func levelOf(text string) (storage.Level, bool) {
	for l := storage.NoAccess; l <= storage.Master; l++ {
		if l.String() == strings.ReplaceAll(text, "-", " ") {
			return l, true
		}
	}
	return 0, false
}

// showRights answers what somebody may do, himself and by his groups. The owner of an account may do everything in it, and the postmaster
// of a domain in its public folders.
func (c *control) showRights(w http.ResponseWriter, r *http.Request) error {
	o, err := c.lists(r)
	if err != nil {
		return err
	}
	var who storage.Subject
	if name := r.URL.Query().Get("who"); name != storage.Anyone {
		a, err := c.open.directory.Account(r.Context(), name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		who.User = a.Name
	}
	if who.User == o.user {
		who.Always = storage.AllRights
	} else if who.User != "" {
		if who, err = (access{c.open}).Subject(r.Context(), who.User, o.user); err != nil {
			return err
		}
	}
	chain, err := o.ACLChain(r.Context(), o.mailbox)
	if err != nil {
		return err
	}
	mode := storage.ACLMode(c.modeOf(o.user))
	fmt.Fprintln(w, letters(storage.EffectiveRights(mode, chain, who)))
	return nil
}

// acl is the commands that begin with that word.
func (c *command) acl(args []string) (func(ctx context.Context) error, error) {
	if len(args) < 2 {
		return nil, errACL
	}
	verb, user, words := args[0], args[1], args[2:]
	path := func(query ...string) string { return pathTo("/acl/", user, query...) }
	switch {
	case verb == "show" && len(words) == 0:
		return c.simple(http.MethodGet, path()), nil
	case verb == "show" && len(words) == 1:
		return c.simple(http.MethodGet, path("mailbox", words[0])), nil
	case verb == "set" && len(words) == 3:
		return c.simple(http.MethodPut, path("mailbox", words[0], "identifier", words[1], "rights", words[2])), nil
	case verb == "remove" && len(words) == 2:
		return c.simple(http.MethodDelete, path("mailbox", words[0], "identifier", words[1])), nil
	case verb == "rights" && len(words) == 2:
		return c.simple(http.MethodGet, pathTo("/rights/", user, "mailbox", words[0], "who", words[1])), nil
	}
	return nil, errACL
}

var errACL = errors.New("unknown use of acl; -help shows the commands")
