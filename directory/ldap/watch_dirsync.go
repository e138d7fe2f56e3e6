package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// dirSyncFilter picks, of all that is in a domain, what users, groups and their
// places are. A removed object keeps its classes.
const dirSyncFilter = "(|(objectClass=person)(objectClass=group)(objectClass=organizationalUnit))"

// An answer is to have a part of dirSyncPart octets; Samba sends all at once.
const (
	dirSyncPart = 1 << 20
	maxDirSync  = 64 << 20
)

// dirSync asks an Active Directory for changes, again and again, until the
// connection or ctx ends.
func (w *watch) dirSync(ctx context.Context, on *conn) error {
	d := &dirSyncer{w: w, conn: on}
	if err := d.findDomain(ctx); err != nil {
		return err
	}
	for {
		if err := d.poll(ctx); err != nil {
			if code(err) > 0 {
				w.restart(w.server) // the cookie may be why
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(w.c.c.Poll):
		}
	}
}

// dirSyncer follows one Active Directory.
type dirSyncer struct {
	w      *watch
	conn   *conn
	domain string // the naming context, which can only be followed as a whole
}

// put puts a question. The first answers take longer than others.
func (d *dirSyncer) put(ctx context.Context, question func(*ldap.Conn) error) error {
	return d.conn.put(ctx, time.Now().Add(10*d.w.c.c.Timeout), maxDirSync, question)
}

// findDomain finds the naming context of the base DN.
func (d *dirSyncer) findDomain(ctx context.Context) error {
	d.domain = d.w.c.c.Base
	return d.put(ctx, func(l *ldap.Conn) error {
		root, err := l.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
			anything, []string{"namingContexts"}, nil))
		if err != nil || len(root.Entries) == 0 {
			return err
		}
		longest := 0
		for _, name := range root.Entries[0].GetAttributeValues("namingContexts") {
			if isWithin(d.w.c.c.Base, name) && len(name) > longest {
				d.domain, longest = name, len(name)
			}
		}
		return nil
	})
}

// isWithin reports whether an entry is a base or beneath it.
func isWithin(dn, base string) bool {
	return strings.HasSuffix(","+NormalDN(dn), ","+NormalDN(base))
}

// poll takes in all changes that there are.
func (d *dirSyncer) poll(ctx context.Context) error {
	for more := true; more; {
		err := d.put(ctx, func(l *ldap.Conn) (err error) {
			more, err = d.ask(l)
			return err
		})
		if err != nil {
			return err
		}
	}
	d.w.follows()
	return nil
}

// ask takes in one answer. Who has no right to replicate is asked again for
// what he may see otherwise.
func (d *dirSyncer) ask(l *ldap.Conn) (more bool, err error) {
	names := slices.Concat(d.w.names, []string{"objectClass", "name", "isDeleted", "member",
		"userAccountControl", "accountExpires", "lockoutTime", "pwdLastSet"})
	for _, name := range []string{d.w.c.c.Attributes.Host, d.w.c.c.Attributes.Forward} {
		if name != "" {
			names = append(names, name)
		}
	}
	req := ldap.NewSearchRequest(d.domain, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, dirSyncFilter, names, nil)
	res, err := l.DirSync(req, d.w.dirSyncFlags, dirSyncPart, d.w.cookie)
	if code(err) == ldap.LDAPResultInsufficientAccessRights && d.w.dirSyncFlags&ldap.DirSyncObjectSecurity == 0 {
		d.w.dirSyncFlags |= ldap.DirSyncObjectSecurity
		return d.ask(l)
	}
	if err != nil {
		return false, err
	}
	state, ok := ldap.FindControl(res.Controls, ldap.ControlTypeDirSync).(*ldap.ControlDirSync)
	if !ok || len(state.Cookie) == 0 {
		return false, errors.New("an answer without the control DirSync")
	}
	for _, e := range res.Entries {
		if err := d.take(e); err != nil {
			return false, err
		}
	}
	d.w.cookie = state.Cookie
	return state.Flags != 0, nil
}

// take takes in what changed of an entry: its attributes that did, alone.
func (d *dirSyncer) take(e *ldap.Entry) error {
	guid := e.GetRawAttributeValue("objectGUID")
	if len(guid) != len(entryID{}) {
		return errors.New("an entry without objectGUID")
	}
	id := entryID(guid)
	before, known := d.w.memory.get(id)
	if strings.EqualFold(e.GetAttributeValue("isDeleted"), "TRUE") {
		d.w.gone(id, "")
		return nil
	}
	now := d.w.newRecord(e, before)
	if d.cares(now.dn) || known && d.cares(before.dn) {
		d.w.put(id, now)
	} else {
		d.w.memory.put(id, now) // it may be moved to where we care
	}
	return nil
}

// cares reports whether an entry is of those to tell of.
func (d *dirSyncer) cares(dn string) bool {
	return isWithin(dn, d.w.c.c.Base) || isWithin(dn, d.w.c.c.Groups.Base)
}
