package local

import (
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// DamageKind is the short name of a kind of damage. It stays as it is, so that
// tests and operators can go by it.
type DamageKind string

// What may be damaged. The comment says what is found; Damage.Repair says what
// Repair does about it.
const (
	DamageIndex      DamageKind = "index"       // the index can't be read
	DamageLocation   DamageKind = "location"    // what says which locations belong to the store is not what was written
	DamageCheckpoint DamageKind = "checkpoint"  // what the index is made from again, if need be, is not what was written
	DamageLogHeader  DamageKind = "log-header"  // of a segment of the log
	DamageLogRecord  DamageKind = "log-record"  // a record of the log is not what was written
	DamageLogBody    DamageKind = "log-body"    // a body in the log is not what was written
	DamageLogShort   DamageKind = "log-short"   // a segment of the log ends too early
	DamageLogMissing DamageKind = "log-missing" // a segment of the log is gone

	DamageCounters   DamageKind = "counters"    // numbers are in use that were not given out, or what was given out can't be read
	DamageUnknownKey DamageKind = "unknown-key" // the index has a key that means nothing

	DamageUnreadableAccount DamageKind = "unreadable-account" // an account's record can't be read
	DamageSharedAccount     DamageKind = "shared-account"     // two accounts have one number
	DamageUnownedTree       DamageKind = "unowned-tree"       // mailboxes of an account that is not there
	DamageAccountCounts     DamageKind = "account-counts"     // an account counts its mailboxes, subscriptions or free names wrong
	DamageNoInbox           DamageKind = "no-inbox"           // an account has no INBOX
	DamageUnreadableName    DamageKind = "unreadable-name"    // what a name stands for can't be read
	DamageBadName           DamageKind = "bad-name"           // a mailbox has a name that none can have
	DamageNoParent          DamageKind = "no-parent"          // the mailbox above a mailbox is missing
	DamageWrongKind         DamageKind = "wrong-kind"         // a mailbox is of another kind than the one above it
	DamageBadSubscription   DamageKind = "bad-subscription"   // a subscription of a name that no mailbox can have
	DamageBadValidity       DamageKind = "bad-validity"       // the UIDVALIDITY of a free name can't be read, or the name is not free
	DamageBadList           DamageKind = "bad-list"           // an access control list is none that can be set
	DamageBadAnnotation     DamageKind = "bad-annotation"     // the value of an annotation can't be read
	DamageUnlistedShare     DamageKind = "unlisted-share"     // it is not known that a list allows somebody something
	DamageStrayShare        DamageKind = "stray-share"        // a list is said to allow somebody something and does not, or is not there
	DamageBadNotice         DamageKind = "bad-notice"         // what an account was told of its thresholds can't be
	DamageHeld              DamageKind = "held"               // memory has it wrong what an account holds
	DamageStray             DamageKind = "stray"              // something is left of an account or a mailbox that is not there

	DamageSharedMailbox   DamageKind = "shared-mailbox"   // two names stand for one mailbox
	DamageUnnamedMailbox  DamageKind = "unnamed-mailbox"  // no name stands for a mailbox
	DamageDoomedMailbox   DamageKind = "doomed-mailbox"   // a mailbox is there and being cleared away
	DamageMissingState    DamageKind = "missing-state"    // a mailbox has no counters
	DamageUnreadableState DamageKind = "unreadable-state" // a mailbox's counters can't be read
	DamageWrongOwner      DamageKind = "wrong-owner"      // a mailbox belongs to another account than its name
	DamageCounts          DamageKind = "counts"           // a mailbox counts its messages wrong
	DamageUIDNext         DamageKind = "uidnext"          // messages are beyond UIDNEXT
	DamageModSeq          DamageKind = "modseq"           // changes are beyond HIGHESTMODSEQ
	DamageTombstones      DamageKind = "tombstones"       // a mailbox counts its tombstones wrong
	DamageTombstone       DamageKind = "tombstone"        // a tombstone can't be read, is of a message that is there, or should be forgotten
	DamageUnreadablePage  DamageKind = "unreadable-page"  // flags of up to 64 messages can't be read
	DamageMissingPage     DamageKind = "missing-page"     // flags of up to 64 messages are gone
	DamageEmptyPage       DamageKind = "empty-page"       // a page lists nothing

	DamageUnreadableRecord DamageKind = "unreadable-record" // where a message is can't be read
	DamageMissingRecord    DamageKind = "missing-record"    // a message is listed and has no record
	DamageUnlisted         DamageKind = "unlisted"          // a message has a record and is not listed
	DamageMismatch         DamageKind = "mismatch"          // a message is listed with another size or date than its record has
	DamageOrphans          DamageKind = "orphans"           // messages of a mailbox that is not there
	DamageUnreadableDoomed DamageKind = "unreadable-doomed" // what becomes of a deleted mailbox's messages can't be read
	DamageUnreadableKept   DamageKind = "unreadable-kept"   // a retained message can't be read
	DamageUndatedKept      DamageKind = "undated-kept"      // a retained message is not listed by the time when it is over
	DamageStrayDate        DamageKind = "stray-date"        // a retained message is listed by time and is not there
	DamageStrayKept        DamageKind = "stray-kept"        // retained messages of an account that is not there
	DamageMissingBody      DamageKind = "missing-body"      // a message's body is not there
	DamageShortBody        DamageKind = "short-body"        // a message's body is shorter than the message
	DamageDamagedBody      DamageKind = "damaged-body"      // a message's body is not what was written
	DamageRefcount         DamageKind = "refcount"          // a body counts its references wrong
	DamageUnclaimedBody    DamageKind = "unclaimed-body"    // a body is kept that nobody refers to
)

// Damage is something that is not as it should be.
type Damage struct {
	Kind   DamageKind
	Where  string // a part of the store: an account, a mailbox, a message, a body, a place in the log
	What   string // one line
	Repair string // what Repair does about it, as "counts again"; empty: nothing

	of subject
}

// String returns the damage as one line.
func (d Damage) String() string { return fmt.Sprintf("%s: %s: %s", d.Kind, d.Where, d.What) }

// subject is what a damage is of, as far as its kind needs it.
type subject struct {
	user    string
	account accountID
	mailbox storage.MailboxID
	uid     uint32
	key     string // of the index
	blob    engine.BlobID
	size    int64  // of the body
	n       int    // references: too many, or all when nobody refers to the body
	segment uint32 // of the log
}

// String names a message of a mailbox.
func (s subject) String() string { return fmt.Sprintf("mailbox %d message %d", s.mailbox, s.uid) }

// isDamage reports errors that say that something can't be read.
func isDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, engine.ErrDamaged) }

// DamageOf returns the damage that an error of Open is about; ok is false when
// it is about something else. With Options.Rebuild, Open mends a DamageIndex,
// and with Options.Salvage all other kinds, with the loss of what is damaged.
func DamageOf(err error) (d Damage, ok bool) {
	if found, ok := errors.AsType[*engine.Damage](err); ok {
		return damageOfLog(found), true
	}
	return Damage{Kind: DamageIndex, Where: "index", What: fmt.Sprint(err), Repair: rebuilt}, isDamage(err)
}

// Salvage returns what Options.Salvage is when report is to hear of each damage
// of the log that Open passes over.
func Salvage(report func(Damage)) func(*engine.Damage) {
	return func(d *engine.Damage) { report(damageOfLog(d)) }
}

func damageOfLog(d *engine.Damage) Damage {
	k := DamageKind(d.Name())
	if k == DamageIndex {
		return Damage{Kind: k, Where: "index", What: d.Error(), Repair: rebuilt}
	}
	return Damage{Kind: k, Where: "log", What: d.Error(), Repair: "goes on without what can't be read"}
}
