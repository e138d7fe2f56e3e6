package ldap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// ErrNoWatch says that no server of a directory tells of changes, or not to
// this client: the syncprov overlay, the right, or a size limit is missing.
var ErrNoWatch = errors.New("LDAP directory does not tell of changes")

// Watch follows the changes beneath Config.Base until ctx ends, and calls fn
// for each, one at a time and in the order of the server, so that caches can
// forget what is no longer true: OpenLDAP and other servers by RFC 4533 in the
// mode refreshAndPersist, Active Directory by its control DirSync, asked every
// Config.Poll. It returns the error of ctx, ErrNoWatch, or ErrUnavailable after
// Close; what goes wrong on the way is tried again, on the next server, with
// pauses that grow from a tenth of a second to Config.Retry.
//
// The first call is Change{All: true}, when it begins to follow. Later ones are
// of single entries, and of all when it can't know what changed: the server has
// forgotten where Watch stood, another server is asked, a subtree was renamed, a
// group changed and Groups.Required is set, or the entry is one of those beyond
// Config.WatchMemory. After an outage it goes on where it stood.
//
// A change is told with some delay, and while servers are away none is: an
// entry must still live in a cache for a limited time. Where several servers
// replicate each other, the one that answers lookups may have a change later than
// the one that told of it. Without the right to replicate (DS-Replication-
// Get-Changes), Active Directory does not tell of entries that were removed.
//
// fn must not block for long: changes wait for it at the server.
func (c *Connector) Watch(ctx context.Context, fn func(Change)) error {
	w := c.newWatch(fn)
	const first = 100 * time.Millisecond
	for pause := first; ; pause = min(2*pause, c.c.Retry) {
		err := w.tryAll(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.ctx.Err() != nil:
			return errClosed
		case errors.Is(err, ErrNoWatch):
			return err
		case w.live:
			w.live, pause = false, first
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return errClosed
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// watch is one call of Watch.
type watch struct {
	c      *Connector
	tell   func(Change)
	names  []string // the attributes that name users, in small letters
	memory memory

	server  string // whose memory and cookie this is
	cookie  []byte // where we stand; empty: at the beginning
	initial bool   // what comes is the content to begin with, not news
	live    bool   // a server was followed since the last pause

	dirSyncFlags int64
}

func (c *Connector) newWatch(fn func(Change)) *watch {
	return &watch{c: c, tell: fn, names: c.nameAttributes(), memory: newMemory(c.c.WatchMemory),
		dirSyncFlags: ldap.DirSyncIncrementalValues} // of a group, not all members each time
}

// tryAll follows the first server that can be followed, until that ends. It
// returns ErrNoWatch when none of those that can be reached may ever be.
func (w *watch) tryAll(ctx context.Context) error {
	var never, failed error
	for _, uri := range w.c.c.URIs {
		err := w.follow(ctx, uri)
		if w.live || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrNoWatch) {
			never = err
		} else {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	return never
}

// follow follows one server until its connection or ctx ends.
func (w *watch) follow(ctx context.Context, uri string) error {
	conn, err := w.c.watchConn(ctx, uri)
	if err != nil {
		return err
	}
	defer conn.close()
	defer context.AfterFunc(w.c.ctx, conn.wire.abort)()
	if uri != w.server {
		w.restart(uri)
	}
	if w.c.c.Type == ActiveDirectory {
		return w.dirSync(ctx, conn.Conn)
	}
	return w.syncRepl(ctx, conn.Conn)
}

// restart forgets where we stood, at a server that is new to us or that has
// forgotten it too.
func (w *watch) restart(server string) {
	w.server, w.cookie = server, nil
	w.memory = newMemory(w.c.c.WatchMemory)
}

// put takes the state of an entry in and tells of it.
func (w *watch) put(id entryID, now record) {
	before, known := w.memory.get(id)
	w.memory.put(id, now)
	switch {
	case w.initial:
	case !known && w.memory.partial, w.decides(before), w.decides(now), known && before.moved(now):
		w.tell(Change{All: true})
	default:
		w.tell(Change{DN: now.dn, Old: w.namesOf(before), New: w.namesOf(now)})
	}
}

// gone forgets an entry and tells of it.
func (w *watch) gone(id entryID, dn string) {
	before, known := w.memory.get(id)
	w.memory.remove(id)
	switch {
	case w.initial:
	case !known && w.memory.partial, w.decides(before):
		w.tell(Change{All: true})
	case known:
		w.tell(Change{DN: before.dn, Old: w.namesOf(before)})
	case dn != "":
		w.tell(Change{DN: dn})
	}
}

// decides reports whether an entry decides on the logins of others.
func (w *watch) decides(r record) bool { return r.group && w.c.c.Groups.Required != "" }

// refused says whether an error is that of a server which will never let us
// watch, and puts it in words.
func refused(err error) error {
	var failed *ldap.Error
	if !errors.As(err, &failed) {
		return nil
	}
	switch failed.ResultCode {
	case ldap.LDAPResultUnavailableCriticalExtension:
		return fmt.Errorf("%w: it does not know the control (OpenLDAP: overlay syncprov): %w", ErrNoWatch, err)
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultOperationsError:
		return fmt.Errorf("%w: it refuses: %w", ErrNoWatch, err)
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		return fmt.Errorf("%w: its size limit is below its number of entries (OpenLDAP: limits dn.exact=… size=unlimited): %w", ErrNoWatch, err)
	case ldap.LDAPResultNoSuchObject:
		return fmt.Errorf("%w: there is no entry with the base DN: %w", ErrNoWatch, err)
	}
	return nil
}
