package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// Repairs says how to repair.
type Repairs struct {
	Others      []References        // as of Inspection
	DropDamaged bool                // messages of which the body is damaged are removed; otherwise they stay as they are
	Done        func(Damage, error) // nil: nobody wants to know; called after each repair with how it went
	Progress    func(Progress)      // as of Inspection
}

// repairRounds is how often Repair looks again for what its repairs have shown:
// a mailbox that got its name back can be checked only then.
const repairRounds = 8

// Repair mends what an Inspect has found, with as little loss as can be, and
// what comes to light then, each as one durable change. Damage.Repair says
// what is done. plan is damages that Inspect reported; nil looks for them, but
// for those of bodies. What can't be mended stays, and the next Inspect tells of
// it.
//
// Nobody else may change the store meanwhile. UIDs never repeat after it: a
// mailbox of which nobody knows the next UID any more gets a new UIDVALIDITY.
func (s *Store) Repair(ctx context.Context, plan []Damage, o Repairs) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	r := &repairer{s: s, Repairs: o}
	log := slices.DeleteFunc(slices.Clone(plan), func(d Damage) bool { return remedyOf(d.Kind).does != renewed })
	for round := 0; round < repairRounds; round++ {
		if round > 0 || plan == nil {
			plan = nil
			in := Inspection{Progress: o.Progress, Others: o.Others, brief: true, Report: func(d Damage) {
				if len(plan) < maxPlan {
					plan = append(plan, d)
				}
			}}
			if _, err := s.Inspect(ctx, in); err != nil {
				return err
			}
			if len(plan) == 0 {
				break
			}
		}
		// Differences of counts are those of this moment only if nothing else is repaired.
		last := round > 0 && !slices.ContainsFunc(plan, func(d Damage) bool { k := remedyOf(d.Kind); return k.fix != nil && k.order < orderBodies })
		if n, err := r.round(ctx, plan, last); err != nil {
			return err
		} else if n == 0 && round > 0 {
			break
		}
	}
	s.held.forget()
	s.purger.wake()
	return errors.Join(s.tidyHints(ctx), r.renew(ctx, log))
}

// renew gives up what is damaged of the log, now that nobody needs it any more.
func (r *repairer) renew(ctx context.Context, damages []Damage) error {
	if len(damages) == 0 {
		return nil
	}
	var segments []uint32
	for _, d := range damages {
		if d.of.segment != 0 {
			segments = append(segments, d.of.segment)
		}
	}
	slices.Sort(segments)
	err := r.s.e.Renew(ctx, slices.Compact(segments)...)
	for _, d := range damages {
		if r.Done != nil {
			r.Done(d, err)
		}
	}
	if errors.Is(err, engine.ErrDamaged) { // what stays is said by the next check
		return nil
	}
	return err
}

// maxPlan is how many damages are repaired in one round; about 300 octets each.
const maxPlan = 100_000

// repairer is one Repair.
type repairer struct {
	s *Store
	Repairs
}

// remedy is what to do about a kind of damage.
type remedy struct {
	does  string
	order int                                              // repairs that others build on come first
	fix   func(*repairer, context.Context, []Damage) error // those of one subject at once; nil: nothing can be done here
}

const (
	orderCounters = iota
	orderAccounts
	orderTrees
	orderNames
	orderMailboxes
	orderLost
	orderKeys
	orderBodies
)

const (
	rebuilt = "builds the index again from the log"
	renewed = "moves what is good out of it, and removes it when nothing is left"
)

// remedyOf returns what to do about damage.
func remedyOf(k DamageKind) remedy {
	switch k {
	case DamageIndex:
		return remedy{does: rebuilt}
	case DamageLocation:
		return remedy{does: "nothing now: it is written again at the next opening, unless the location is read only"}
	case DamageLogHeader, DamageLogRecord, DamageLogBody, DamageLogShort, DamageLogMissing, DamageCheckpoint:
		return remedy{does: renewed}
	case DamageCounters:
		return remedy{"sets them beyond all that is in use", orderCounters, (*repairer).fixCounters}
	case DamageHeld:
		return remedy{"adds it up again", orderCounters, (*repairer).fixHeld}
	case DamageUnreadableAccount:
		return remedy{"gives the account its mailboxes back, without bounds and access lists of its own", orderAccounts, (*repairer).fixAccount}
	case DamageSharedAccount:
		return remedy{"makes the account anew, without the mailboxes, which stay with the other one", orderAccounts, (*repairer).fixAccount}
	case DamageUnownedTree:
		return remedy{"makes an account for them, recovered-N", orderAccounts, (*repairer).fixUnowned}
	case DamageUnknownKey, DamageUnreadableKept, DamageStrayDate, DamageBadAnnotation, DamageStrayShare:
		return remedy{"removes it", orderKeys, (*repairer).fixKeys}
	case DamageUndatedKept:
		return remedy{"lists it", orderKeys, (*repairer).fixUndated}
	case DamageStrayKept:
		return remedy{"removes them, as of a removed account", orderKeys, (*repairer).fixStrayKept}
	case DamageUnreadableDoomed:
		return remedy{"clears the mailbox away without retaining its messages", orderNames, (*repairer).fixDoomed}
	case DamageStray:
		return remedy{"removes it", orderKeys, (*repairer).fixStray}
	case DamageSharedMailbox:
		return remedy{"makes a new, empty mailbox for the second name", orderNames, (*repairer).fixShared}
	case DamageDoomedMailbox:
		return remedy{"keeps it", orderNames, (*repairer).fixDoomed}
	case DamageUnnamedMailbox:
		return remedy{"gives it a name, Recovered/N", orderLost, (*repairer).fixLost}
	case DamageOrphans:
		return remedy{"puts them into the account recovered, mailbox Recovered/N", orderLost, (*repairer).fixLost}
	case DamageRefcount:
		return remedy{"counts again", orderBodies, (*repairer).fixReferences}
	case DamageUnclaimedBody:
		return remedy{"keeps it as a message in INBOX of the account recovered", orderBodies, (*repairer).fixUnclaimed}
	}
	if r := treeRemedy(k); r.fix != nil {
		return r
	}
	return mailboxRemedy(k)
}

// treeRemedy returns what to do about damage of an account's tree, all of
// which is mended at once.
func treeRemedy(k DamageKind) remedy {
	does := ""
	switch k {
	case DamageAccountCounts:
		does = "counts again"
	case DamageNoInbox:
		does = "makes one"
	case DamageUnreadableName:
		does = "gives the name its mailbox back if there is no doubt which, else drops the name"
	case DamageBadName:
		does = "gives it another name, Recovered/N"
	case DamageNoParent:
		does = "makes one"
	case DamageWrongKind:
		does = "makes it one of the same kind"
	case DamageBadList:
		does = "puts it in order, or drops it when that can't be done"
	case DamageUnlistedShare:
		does = "lists it"
	case DamageBadNotice:
		does = "forgets it, so that the account is told again"
	case DamageBadSubscription:
		does = "drops it"
	case DamageBadValidity:
		does = "raises UIDVALIDITY for all names that are free"
	default:
		return remedy{}
	}
	return remedy{does, orderTrees, (*repairer).fixTree}
}

// mailboxRemedy returns what to do about damage of a mailbox, all of which is
// mended at once.
func mailboxRemedy(k DamageKind) remedy {
	does := ""
	switch k {
	case DamageMissingState, DamageUnreadableState:
		does = "makes it from the messages, with a new UIDVALIDITY"
	case DamageWrongOwner:
		does = "gives it to the account that has its name"
	case DamageCounts:
		does = "counts again"
	case DamageUIDNext:
		does = "raises it, with a new UIDVALIDITY"
	case DamageModSeq:
		does = "raises it"
	case DamageTombstones:
		does = "counts again"
	case DamageTombstone:
		does = "forgets it and all before it, so that clients resynchronize"
	case DamageUnreadablePage, DamageMissingPage:
		does = "lists the messages again, with the flags that they came with"
	case DamageEmptyPage:
		does = "removes it"
	case DamageUnreadableRecord:
		does = "removes the message; its body, if nobody else has it, is kept in the account recovered"
	case DamageMissingRecord:
		does = "lists it no more"
	case DamageUnlisted:
		does = "lists the message again, with the flags that it came with"
	case DamageMismatch:
		does = "lists it as the record says"
	case DamageMissingBody:
		does = "removes the message"
	case DamageShortBody:
		does = "keeps as much of the message as there is"
	case DamageDamagedBody:
		does = "nothing, unless damaged messages are to be dropped"
	default:
		return remedy{}
	}
	return remedy{does, orderMailboxes, (*repairer).fixMailbox}
}

// round repairs a list of damages, those of bodies' counts only if it is said
// that these are all that is left. It returns how many it repaired.
func (r *repairer) round(ctx context.Context, plan []Damage, bodies bool) (n int, err error) {
	plan = slices.DeleteFunc(slices.Clone(plan), func(d Damage) bool {
		k := remedyOf(d.Kind)
		return k.fix == nil || k.order == orderBodies != bodies || d.Kind == DamageDamagedBody && !r.DropDamaged ||
			d.Kind == DamageMissingBody && d.of.mailbox == 0 && d.of.key == "" // somebody else's to repair
	})
	slices.SortStableFunc(plan, compareTargets)
	for len(plan) > 0 {
		group := 1
		for group < len(plan) && remedyOf(plan[0].Kind).order < orderKeys && compareTargets(plan[group], plan[0]) == 0 {
			group++
		}
		err := remedyOf(plan[0].Kind).fix(r, ctx, plan[:group])
		if errors.Is(err, errNothing) {
			err = nil
		}
		for _, d := range plan[:group] {
			if err == nil {
				n++
			}
			if r.Done != nil {
				r.Done(d, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
		plan = plan[group:]
	}
	return n, nil
}

// compareTargets orders damages by what has to be repaired first, and then by
// what is repaired at once.
func compareTargets(a, b Damage) int {
	ka, kb := remedyOf(a.Kind), remedyOf(b.Kind)
	return cmp.Or(cmp.Compare(ka.order, kb.order), cmp.Compare(a.of.user, b.of.user), cmp.Compare(a.of.mailbox, b.of.mailbox), cmp.Compare(a.of.account, b.of.account))
}

// commit makes one change of a repair.
func (r *repairer) commit(ctx context.Context, build func(tx) error) error {
	return r.s.e.Commit(ctx, r.s.change(nil, build))
}

func (r *repairer) fixKeys(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		for _, d := range group {
			t.Delete([]byte(d.of.key))
		}
		return nil
	})
}

func (r *repairer) fixStray(ctx context.Context, group []Damage) error {
	for _, d := range group {
		n, ok := number([]byte(d.of.key), 0)
		if !ok {
			return fmt.Errorf("%w: key %q", ErrDamaged, d.of.key)
		}
		gone, err := r.isGone(d)
		if err == nil && gone {
			err = r.s.purger.keys(ctx, d.of.key[0], n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isGone reports whether the mailbox or the account of a stray key is not
// there, though it may have come back since the damage was found.
func (r *repairer) isGone(d Damage) (bool, error) {
	if d.of.mailbox != 0 {
		_, ok, err := r.s.e.Get(stateKey(d.of.mailbox))
		return !ok, err
	}
	users, err := r.users()
	return users[d.of.account] == "", err
}
