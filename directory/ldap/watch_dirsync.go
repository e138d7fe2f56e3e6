package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// dirSyncFilter picks, of all that is in a domain, what users, groups and their
// places are. A removed object keeps its classes.
const dirSyncFilter = "(|(objectClass=person)(objectClass=group)(objectClass=organizationalUnit))"

// dirSyncOctets bounds one answer.
const dirSyncOctets = 1 << 20

// dirSync asks an Active Directory for changes, again and again, until the
// connection or ctx ends.
func (w *watch) dirSync(ctx context.Context, conn *ldap.Conn) error {
	conn.SetTimeout(10 * w.c.c.Timeout) // the first answers are large
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	d := &dirSyncer{w: w, conn: conn}
	if err := d.prepare(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for {
		if err := d.poll(); err != nil {
			return d.end(err)
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
	conn   *ldap.Conn
	domain string     // the naming context, which alone can be followed
	bases  []*ldap.DN // what we care for in it
}

// prepare finds the naming context of the base DNs.
func (d *dirSyncer) prepare() error {
	root, err := d.conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"namingContexts"}, nil))
	if err != nil {
		return err
	}
	for _, base := range []string{d.w.c.c.Base, d.w.c.c.Groups.Base} {
		dn, err := ldap.ParseDN(base)
		if err != nil {
			return err
		}
		d.bases = append(d.bases, dn)
	}
	for _, e := range root.Entries {
		for _, name := range e.GetAttributeValues("namingContexts") {
			if context, err := ldap.ParseDN(name); err == nil && within(d.bases[0], context) && len(name) > len(d.domain) {
				d.domain = name
			}
		}
	}
	if d.domain == "" {
		d.domain = d.w.c.c.Base
	}
	return nil
}

// within reports whether an entry is a base or beneath it.
func within(entry, base *ldap.DN) bool { return base.EqualFold(entry) || base.AncestorOfFold(entry) }

// poll takes in all changes that there are.
func (d *dirSyncer) poll() error {
	initial := len(d.w.cookie) == 0
	d.w.initial = initial
	for {
		more, err := d.ask()
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	d.w.initial, d.w.live = false, true
	if initial {
		d.w.tell(Change{All: true})
	}
	return nil
}

// ask takes in one answer. Who has no right to replicate is asked again for
// what he may see otherwise.
func (d *dirSyncer) ask() (more bool, err error) {
	names := slices.Concat(d.w.names, []string{"objectClass", "name", "isDeleted", "member",
		"userAccountControl", "accountExpires", "lockoutTime", "pwdLastSet"})
	for _, name := range []string{d.w.c.c.Attributes.Host, d.w.c.c.Attributes.Forward} {
		if name != "" {
			names = append(names, name)
		}
	}
	req := ldap.NewSearchRequest(d.domain, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, dirSyncFilter, names, nil)
	res, err := d.conn.DirSync(req, d.w.dirSyncFlags, dirSyncOctets, d.w.cookie)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) && d.w.dirSyncFlags&ldap.DirSyncObjectSecurity == 0 {
		d.w.dirSyncFlags |= ldap.DirSyncObjectSecurity
		return d.ask()
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

func (d *dirSyncer) cares(dn string) bool {
	entry, err := ldap.ParseDN(dn)
	return err != nil || slices.ContainsFunc(d.bases, func(base *ldap.DN) bool { return within(entry, base) })
}

// end says what an error means.
func (d *dirSyncer) end(err error) error {
	var failed *ldap.Error
	if errors.As(err, &failed) && failed.ResultCode != ldap.ErrorNetwork {
		if len(d.w.cookie) > 0 {
			d.w.restart(d.w.server) // the cookie may be why
		} else if never := refused(err); never != nil {
			return never
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
