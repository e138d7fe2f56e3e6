package local

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

const (
	waitLong = 20 * time.Second
	waitTick = 5 * time.Millisecond
)

// plan is a damage to plant, by the name under which it is to be found.
type plan struct {
	name   string
	kind   DamageKind
	damage func(p *planted)
	hit    string // subjects of messages that it hits, with the space before the number or without it
	stays  bool   // nothing can be done about it yet
	drops  bool   // messages of which the body is damaged are to be dropped
}

func set(key func(p *planted) []byte, value string) func(p *planted) {
	return func(p *planted) { p.corrupt(func(tx *engine.Tx) { tx.Set(key(p), []byte(value)) }) }
}

func remove(key func(p *planted) []byte) func(p *planted) {
	return func(p *planted) { p.corrupt(func(tx *engine.Tx) { tx.Delete(key(p)) }) }
}

func ofState(change func(*state)) func(p *planted) {
	return func(p *planted) {
		st, err := p.s.loadState(p.alice.id)
		require.NoError(p.t, err)
		change(&st)
		p.corrupt(func(tx *engine.Tx) { tx.Set(stateKey(p.alice.id), st.append(nil)) })
	}
}

func ofAccount(user string, change func(*accountRecord)) func(p *planted) {
	return func(p *planted) {
		rec, _, err := getAccount(p.s.e, user)
		require.NoError(p.t, err)
		change(&rec)
		p.corrupt(func(tx *engine.Tx) { tx.Set(accountKey(user), rec.append(nil)) })
	}
}

func ofBox(name string, change func(p *planted, b *box)) func(p *planted) {
	return func(p *planted) {
		key := nameKey(keyName, p.alice.account.id, name)
		v, _, err := p.s.e.Get(key)
		require.NoError(p.t, err)
		b, err := parseBox(v)
		require.NoError(p.t, err)
		change(p, &b)
		p.corrupt(func(tx *engine.Tx) { tx.Set(key, b.append(nil)) })
	}
}

func ofMine(change func(*record)) func(p *planted) {
	return func(p *planted) {
		broken := p.mine
		change(&broken)
		p.corrupt(func(tx *engine.Tx) { tx.Set(messageKey(p.alice.id, broken.uid), broken.append(nil)) })
	}
}

func aliceState(p *planted) []byte { return stateKey(p.alice.id) }
func aliceName(name string) func(p *planted) []byte {
	return func(p *planted) []byte { return nameKey(keyName, p.alice.account.id, name) }
}
func aliceMessage(uid uint32) func(p *planted) []byte {
	return func(p *planted) []byte { return messageKey(p.alice.id, uid) }
}
func alicePage(page uint32) func(p *planted) []byte {
	return func(p *planted) []byte { return pageKey(p.alice.id, page) }
}
func aliceTombstone(modSeq uint64) func(p *planted) []byte {
	return func(p *planted) []byte { return expungedKey(p.alice.id, modSeq) }
}
func just(key string) func(p *planted) []byte { return func(*planted) []byte { return []byte(key) } }

func keptOf(p *planted) []byte { return keptKey(p.lost.account, p.lost.id) }

func ofKept(change func(*kept)) func(p *planted) {
	return func(p *planted) {
		v, _, err := p.s.e.Get(keptOf(p))
		require.NoError(p.t, err)
		k, err := parseKept(keptOf(p), v)
		require.NoError(p.t, err)
		change(&k)
		p.corrupt(func(tx *engine.Tx) { tx.Set(keptOf(p), k.append(nil)) })
	}
}

// segmentOf is the file that a body stands in when nothing was moved.
func segmentOf(b engine.BlobID) string { return fmt.Sprintf("store/log/%08d.seg", b>>32) }

// flip spoils what stands in the log.
func flip(file func(p *planted) string, what string) func(p *planted) {
	return func(p *planted) {
		p.disk(file(p), func(octets []byte) []byte {
			at := bytes.Index(octets, []byte(what))
			require.GreaterOrEqual(p.t, at, 0)
			octets[at] ^= 0x20
			return octets
		})
	}
}

func segmentOfAlice(p *planted) string { return segmentOf(p.aliceFirst()) }
func (p *planted) aliceFirst() engine.BlobID {
	rec, err := p.alice.record(p.t.Context(), 1)
	require.NoError(p.t, err)
	return rec.blob
}

// ofAccountCut leaves the version and the number of an account's record.
func ofAccountCut(p *planted) {
	v, _, err := p.s.e.Get(accountKey("alice"))
	require.NoError(p.t, err)
	set(just("aalice"), string(v[:2]))(p)
}

// rename moves a name of alice without any of the rules.
func (p *planted) rename(from, to string) {
	v, _, err := p.s.e.Get(aliceName(from)(p))
	require.NoError(p.t, err)
	p.corrupt(func(tx *engine.Tx) { tx.Delete(aliceName(from)(p)); tx.Set(aliceName(to)(p), v) })
}

// unlist takes a message of alice out of its page.
func (p *planted) unlist(uid uint32) {
	page := pageOf(uid)
	v, _, err := p.s.e.Get(alicePage(page)(p))
	require.NoError(p.t, err)
	c, upto, err := parsePage(page, v)
	require.NoError(p.t, err)
	set(alicePage(page), string(appendPage(nil, c.without([]record{{listed: listed{row: row{uid: uid}}}}), upto)))(p)
}

// removeFile removes a file of the closed store.
func (p *planted) removeFile(name string) {
	require.NoError(p.t, p.s.Close())
	require.NoError(p.t, p.fs.Remove(name))
	p.open()
}

var plans = []plan{
	{name: "unreadable account", kind: DamageUnreadableAccount, damage: set(just("aalice"), "x")},
	{name: "account with its number", kind: DamageUnreadableAccount, damage: ofAccountCut},
	{name: "account gone", kind: DamageUnownedTree, damage: remove(just("aalice"))},
	{name: "account of another", kind: DamageSharedAccount, damage: ofAccount("dave", func(a *accountRecord) { *a = accountRecord{id: 2, mailboxes: 7, subs: 5} })},
	{name: "count of mailboxes", kind: DamageAccountCounts, damage: ofAccount("alice", func(a *accountRecord) { a.mailboxes++ })},
	{name: "count of subscriptions", kind: DamageAccountCounts, damage: set(func(p *planted) []byte { return nameKey(keySubscription, p.alice.account.id, "x") }, "")},
	{name: "count of free names", kind: DamageAccountCounts, damage: ofAccount("carol", func(a *accountRecord) { a.freed-- })},
	{name: "no INBOX", kind: DamageNoInbox, damage: remove(aliceName(storage.Inbox))},
	{name: "mailbox without a name", kind: DamageUnnamedMailbox, damage: remove(aliceName("Folder/Sub"))},
	{name: "unreadable name", kind: DamageUnreadableName, damage: set(aliceName("Folder/Sub"), "x")},
	{name: "unreadable names", kind: DamageUnreadableName, damage: func(p *planted) { set(aliceName("Folder/Sub"), "x")(p); set(aliceName("Folder"), "")(p) }},
	{name: "bad name", kind: DamageBadName, damage: func(p *planted) { p.rename("Folder/Sub", "a//b") }},
	{name: "no parent", kind: DamageNoParent, damage: func(p *planted) { p.rename("Folder/Sub", "Above/Below/Sub") }},
	{name: "kind of the parent", kind: DamageWrongKind, damage: ofBox("Folder/Sub", func(_ *planted, b *box) { b.kind = storage.Notes })},
	{name: "bad subscription", kind: DamageBadSubscription, damage: set(func(p *planted) []byte { return nameKey(keySubscription, p.alice.account.id, "a//b") }, "")},
	{name: "free name", kind: DamageBadValidity, damage: set(func(p *planted) []byte { return nameKey(keyValidity, p.carol.account.id, "Old") }, "x")},
	{name: "free name that is not", kind: DamageBadValidity, damage: set(func(p *planted) []byte { return nameKey(keyValidity, p.carol.account.id, "INBOX") }, "\x00\x00\x00\x07")},
	{name: "subscription of nobody", kind: DamageStray, damage: set(func(*planted) []byte { return nameKey(keySubscription, 4711, "x") }, "")},
	{name: "page of nobody", kind: DamageStray, damage: set(func(*planted) []byte { return pageKey(7777, 1) }, "x")},
	{name: "tombstone of nobody", kind: DamageStray, damage: set(func(*planted) []byte { return expungedKey(7777, 1) }, "x")},
	{name: "two names", kind: DamageSharedMailbox, damage: ofBox("Drafts", func(p *planted, b *box) { b.id = p.folder.id })},
	{name: "mailbox of another", kind: DamageSharedMailbox, damage: ofBox("Drafts", func(p *planted, b *box) { b.id = p.carol.id })},
	{name: "doomed", kind: DamageDoomedMailbox, damage: set(func(p *planted) []byte { return doomedKey(p.sub.id) }, "")},
	{name: "no state", kind: DamageMissingState, damage: remove(aliceState)},
	{name: "unreadable state", kind: DamageUnreadableState, damage: set(aliceState, "\x09")},
	{name: "owner", kind: DamageWrongOwner, damage: ofState(func(st *state) { st.account += 100 })},
	{name: "owner of another account", kind: DamageWrongOwner, damage: ofState(func(st *state) { st.account++ })},
	{name: "messages", kind: DamageCounts, damage: ofState(func(st *state) { st.messages++ })},
	{name: "unseen", kind: DamageCounts, damage: ofState(func(st *state) { st.unseen-- })},
	{name: "deleted", kind: DamageCounts, damage: ofState(func(st *state) { st.deleted++ })},
	{name: "size", kind: DamageCounts, damage: ofState(func(st *state) { st.size++ })},
	{name: "UIDNEXT", kind: DamageUIDNext, damage: ofState(func(st *state) { st.next -= 2 })},
	{name: "HIGHESTMODSEQ", kind: DamageModSeq, damage: ofState(func(st *state) { st.modSeq = 1 })},
	{name: "count of tombstones", kind: DamageTombstones, damage: ofState(func(st *state) { st.tombs++ })},
	{name: "floor of tombstones", kind: DamageTombstone, damage: ofState(func(st *state) { st.floor = st.expunged })},
	{name: "unreadable tombstone", kind: DamageTombstone, damage: set(aliceTombstone(3), "\x01\xc8")},
	{name: "tombstone of one that is there", kind: DamageTombstone, damage: set(aliceTombstone(3), string(appendTombstone(nil, imap.UIDSet{{Start: 70, Stop: 70}})))},
	{name: "unreadable page", kind: DamageUnreadablePage, damage: set(alicePage(1), "xx"), hit: "alice"},
	{name: "page gone", kind: DamageMissingPage, damage: remove(alicePage(1)), hit: "alice"},
	{name: "page of nothing", kind: DamageEmptyPage, damage: set(alicePage(9), string(appendPage(nil, newChunk(9), 9<<pageBits)))},
	{name: "unreadable record", kind: DamageUnreadableRecord, damage: set(aliceMessage(70), ""), hit: "alice 70"},
	{name: "unreadable record of a body of its own", kind: DamageUnreadableRecord, damage: set(func(p *planted) []byte { return messageKey(p.carol.id, 2) }, "x"), hit: "carol 2"},
	{name: "message 0", kind: DamageUnreadableRecord, damage: func(p *planted) {
		p.corrupt(func(tx *engine.Tx) { tx.Set(messageKey(p.alice.id, 0), p.mine.append(nil)) })
	}},
	{name: "record gone", kind: DamageMissingRecord, damage: remove(aliceMessage(70)), hit: "alice 70"},
	{name: "not listed", kind: DamageUnlisted, damage: func(p *planted) { p.unlist(70) }, hit: "alice 70"},
	{name: "another size", kind: DamageMismatch, damage: ofMine(func(m *record) { m.size--; m.prefix = nil }), hit: "shared 1"},
	{name: "messages of nobody", kind: DamageOrphans, damage: func(p *planted) {
		p.corrupt(func(tx *engine.Tx) { tx.Set(messageKey(999, 1), p.mine.append(nil)); tx.Ref(p.mine.blob, 1) })
	}},
	{name: "retained message", kind: DamageUnreadableKept, damage: set(keptOf, "\x07")},
	{name: "retained message gone", kind: DamageStrayDate, damage: remove(keptOf)},
	{name: "retained for another time", kind: DamageUndatedKept, damage: ofKept(func(k *kept) { k.until++ })},
	{name: "retained body gone", kind: DamageMissingBody, damage: ofKept(func(k *kept) { k.blob += 3 })},
	{name: "retained body of less size", kind: DamageShortBody, damage: ofKept(func(k *kept) { k.size += 5 })},
	{name: "time of a retained message", kind: DamageUndatedKept, damage: remove(func(p *planted) []byte { return dueKey(p.lost.until, p.lost.id) })},
	{name: "time of nobody", kind: DamageStrayDate, damage: set(func(*planted) []byte { return dueKey(math.MaxInt64, 1) }, "12345678")},
	{name: "unreadable time", kind: DamageStrayDate, damage: set(func(*planted) []byte { return dueKey(math.MaxInt64, 1) }, "")},
	{name: "retained for nobody", kind: DamageStrayKept, damage: func(p *planted) {
		k := *p.lost
		p.corrupt(func(tx *engine.Tx) {
			tx.Set(keptKey(4711, k.id), k.append(nil))
			tx.Set(dueKey(k.until, k.id), []byte{0, 0, 0, 0, 0, 0, 18, 103})
			tx.Delete(keptKey(k.account, k.id))
		})
	}},
	{name: "numbers of retained messages", kind: DamageCounters, damage: func(p *planted) {
		c := p.s.counters
		c.retained = 1
		p.corrupt(func(tx *engine.Tx) { tx.Set([]byte{keyCounters}, c.append(nil)) })
	}},
	{name: "deleted mailbox", kind: DamageUnreadableDoomed, damage: set(func(*planted) []byte { return doomedKey(4711) }, "\x07")},
	{name: "notice", kind: DamageBadNotice, damage: ofAccount("alice", func(a *accountRecord) { a.silent = 90 })},
	{name: "annotation", kind: DamageBadAnnotation, damage: set(func(p *planted) []byte { return boxNotes(p.sub.id).key("bob", "/x") }, "")},
	{name: "annotation without a name", kind: DamageUnknownKey, damage: set(func(p *planted) []byte { return boxNotes(p.sub.id).key("bob", "") }, "")},
	{name: "annotation of no mailbox", kind: DamageStray, damage: set(func(*planted) []byte { return boxNotes(7777).key("", "/x") }, "\x02")},
	{name: "annotation of no account", kind: DamageStray, damage: set(func(*planted) []byte { return accountNotes(4711).key("", "/x") }, "\x02")},
	{name: "access control list", kind: DamageBadList, damage: ofBox("Folder/Sub", func(_ *planted, b *box) { b.acl = storage.ACL{{Identifier: "b"}, {Identifier: "a"}} })},
	{name: "shared and not listed", kind: DamageUnlistedShare, damage: remove(func(p *planted) []byte { return shareKey("bob", p.alice.account.id, p.folder.id) })},
	{name: "shared by the account and not listed", kind: DamageUnlistedShare, damage: remove(func(p *planted) []byte { return shareKey("group:all", p.alice.account.id, 0) })},
	{name: "shared by another account", kind: DamageUnlistedShare, damage: set(func(p *planted) []byte { return shareKey("bob", p.alice.account.id, p.folder.id) }, "carol")},
	{name: "not shared", kind: DamageStrayShare, damage: set(func(p *planted) []byte { return shareKey("carol", p.alice.account.id, p.folder.id) }, "alice")},
	{name: "shared by nobody", kind: DamageStrayShare, damage: set(just("wx"), "alice")},
	{name: "nobody knows whether all is listed", kind: DamageStrayShare, damage: func(p *planted) {
		remove(just("w"))(p)
		remove(func(p *planted) []byte { return shareKey("bob", p.alice.account.id, p.folder.id) })(p) // comes back at the next opening
		set(just("wx"), "alice")(p)
	}},
	{name: "kind of INBOX", kind: DamageWrongKind, damage: ofBox("INBOX", func(_ *planted, b *box) { b.kind = storage.Journal })},
	{name: "no body", kind: DamageMissingBody, damage: ofMine(func(m *record) { m.blob += 3 }), hit: "shared 1"},
	{name: "body gone", kind: DamageMissingBody, damage: func(p *planted) { p.corrupt(func(tx *engine.Tx) { tx.Ref(p.hers.blob, -1) }) }, hit: "carol 2"},
	{name: "short body", kind: DamageShortBody, damage: ofMine(func(m *record) { m.size += 5 })},
	{name: "too many references", kind: DamageRefcount, damage: func(p *planted) { p.corrupt(func(tx *engine.Tx) { tx.Ref(p.mine.blob, 2) }) }},
	{name: "too few references", kind: DamageRefcount, damage: func(p *planted) { p.corrupt(func(tx *engine.Tx) { tx.Ref(p.mine.blob, -1) }) }},
	{name: "body of nobody", kind: DamageUnclaimedBody, damage: func(p *planted) {
		p.corrupt(func(tx *engine.Tx) { tx.Delete(messageKey(p.carol.id, 3)) })
	}, hit: "carol 3"},
	{name: "counters gone", kind: DamageCounters, damage: remove(just("g"))},
	{name: "unreadable counters", kind: DamageCounters, damage: set(just("g"), "x")},
	{name: "counters too low", kind: DamageCounters, damage: set(just("g"), string((&counters{account: 1, mailbox: 2, validity: math.MaxUint32 / 2}).append(nil)))},
	{name: "unknown kind of key", kind: DamageUnknownKey, damage: set(just("Q?"), "x")},
	{name: "key of another length", kind: DamageUnknownKey, damage: set(just("s123"), "x")},
	{name: "name of nothing", kind: DamageUnknownKey, damage: set(just("n12345678"), "x")},
	{name: "bit in a body", kind: DamageLogBody, damage: flip(segmentOfAlice, "Subject: alice 77\r"), hit: "alice", stays: true},
	{name: "bit in a body to drop", kind: DamageLogBody, damage: flip(segmentOfAlice, "Subject: alice 77\r"), hit: "alice", drops: true},
	{name: "bit in a segment's header", kind: DamageLogHeader, damage: flip(segmentOfAlice, "phsegm01")},
	{name: "bit in the checkpoint", kind: DamageCheckpoint, damage: func(p *planted) {
		require.NoError(p.t, p.s.e.Checkpoint(p.t.Context()))
		p.disk("store/log/00000001.ckpt", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	}},
	{name: "bit in a record", kind: DamageLogRecord, damage: func(p *planted) {
		p.disk(segmentOfAlice(p), func(b []byte) []byte { b[64+45] ^= 1; return b })
	}},
	{name: "segment gone", kind: DamageLogMissing, damage: func(p *planted) { p.removeFile(segmentOfAlice(p)) }, hit: "alice", drops: true},
	{name: "segment cut", kind: DamageLogShort, damage: func(p *planted) {
		p.disk(segmentOfAlice(p), func(b []byte) []byte { return b[:len(b)-20] })
	}, hit: "alice", drops: true},
}

// TestCheckFindsAndRepairMendsEveryDamage plants one damage after the other,
// each in a store of its own. The check finds it by its name, the rest can be
// read, and the repair leaves nothing damaged and loses nothing but what was hit.
func TestCheckFindsAndRepairMendsEveryDamage(t *testing.T) {
	for _, c := range plans {
		t.Run(c.name, func(t *testing.T) {
			p := plant(t)
			c.damage(p)
			p.reopen()
			defer func() { require.NoError(t, p.s.Close()) }()
			var found []Damage
			require.NoError(t, p.s.Check(t.Context(), func(d Damage) { found = append(found, d) }))
			require.True(t, slices.ContainsFunc(found, func(d Damage) bool { return d.Kind == c.kind }), "%s: %v", c.kind, found)
			require.NotEmpty(t, contentOf(t, inbox(t, p.s, "bob"), 1), "others' mail can be read")
			require.NoError(t, p.s.Repair(t.Context(), found, Repairs{DropDamaged: c.drops, Done: func(d Damage, err error) {
				require.True(t, err == nil || c.stays && errors.Is(err, engine.ErrDamaged), "%v: %v", d, err)
				require.NotEmpty(t, d.Repair, d)
			}}))
			hit := func(subject string) bool {
				return c.hit != "" && (subject == c.hit || strings.HasPrefix(subject, c.hit+" "))
			}
			p.requireKept(hit)
			left := damages(t, p.s)
			if !c.stays {
				require.Empty(t, left)
			}
			p.reopen()
			require.Equal(t, left, damages(t, p.s), "and nothing was in memory only")
			deliver(t, p.s, "after", "alice", "bob", "carol")
			p.requireKept(hit)
			require.Equal(t, len(left), len(damages(t, p.s)))
		})
	}
}
