package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// maxPlan is how many damages a repair plans at once; it goes on with the rest.
const maxPlan = 100_000

// directoryCheck is a check, or a repair, of a data directory that no node
// serves.
type directoryCheck struct {
	checkOptions
	config *Config
	lock   *datadir.Dir
	of     storagelocal.Options // Rebuild and Salvage of the next open
	print  *checkPrinter
	data   *opened

	plan     []storagelocal.Damage
	index    bool // the plan has damage of the index
	repaired int
}

// checkDirectory checks the data directory itself, and repairs it if asked.
func (c *command) checkDirectory(ctx context.Context, lock *datadir.Dir, args []string) error {
	o, err := parseCheck(args)
	if err != nil {
		return err
	}
	d := &directoryCheck{checkOptions: o, config: c.config, lock: lock, print: newCheckPrinter(c.out)}
	if err := d.open(); err != nil {
		return err
	}
	err = d.run(ctx)
	return errors.Join(err, d.data.Close())
}

// open opens the directory. What is damaged so that it can't be opened is
// mended by opening it in another way, if that is asked for.
func (d *directoryCheck) open() (err error) {
	for {
		if d.data, err = openDataWith(d.config, d.lock, d.adjust); err == nil {
			d.of.Rebuild, d.of.Salvage = false, nil
			return nil
		}
		damage, ok := storagelocal.DamageOf(err)
		if !ok {
			return err
		}
		rebuild := damage.Kind == storagelocal.DamageIndex
		if rebuild && d.of.Rebuild || !rebuild && d.of.Salvage != nil {
			return err // it was tried
		}
		d.damage(damage)
		if !d.repair {
			d.print.line("damaged: 1, and what else is there can't be looked at; check -repair mends it")
			return errReported
		}
		d.mend(rebuild)
	}
}

func (d *directoryCheck) adjust(o *storagelocal.Options) {
	o.Rebuild, o.Salvage = d.of.Rebuild, d.of.Salvage
}

// mend makes the next open rebuild the index, or go on without what is damaged.
func (d *directoryCheck) mend(rebuild bool) {
	d.repaired++
	if rebuild {
		d.print.line("building the index again from the log; the old one stays in mail/index.old")
		d.of.Rebuild = true
		return
	}
	d.of.Salvage = storagelocal.Salvage(func(damage storagelocal.Damage) { d.print.line("passed over: " + damage.String()) })
}

// damage prints a damage, with what is to be done about it when that is asked for.
func (d *directoryCheck) damage(damage storagelocal.Damage) {
	d.print.print(checkEvent{Damage: &damage})
	switch {
	case !d.repair:
	case damage.Repair == "":
		d.print.line("  nothing can be done about it")
	default:
		d.print.line("  repair: " + damage.Repair)
	}
}

func (d *directoryCheck) run(ctx context.Context) error {
	d.inspect(ctx)
	for d.repair && d.index && d.print.error == "" && !d.of.Rebuild {
		if err := d.data.Close(); err != nil {
			return err
		}
		d.mend(true)
		if err := d.open(); err != nil {
			return err
		}
		d.of.Rebuild = true // once is enough
		d.inspect(ctx)
	}
	if !d.repair || len(d.plan) == 0 || d.print.error != "" {
		return d.end()
	}
	d.print.line("repairing")
	if err := d.mendRest(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	d.print.line("checking again")
	d.inspect(ctx)
	return d.end()
}

func (d *directoryCheck) end() error {
	if d.repair {
		d.print.line("repaired %d, left %d", d.repaired, len(d.plan))
	}
	return d.print.end()
}

// inspect checks everything, and makes the plan.
func (d *directoryCheck) inspect(ctx context.Context) {
	d.plan, d.index = nil, false
	d.data.inspect(ctx, func(e checkEvent) {
		if e.Damage == nil {
			d.print.print(e)
			return
		}
		d.index = d.index || e.Damage.Kind == storagelocal.DamageIndex
		if len(d.plan) < maxPlan {
			d.plan = append(d.plan, *e.Damage)
		}
		d.damage(*e.Damage)
	})
}

// mendRest does what the plan says: the queue first, since the store keeps
// contents that no recipient is known of any more.
func (d *directoryCheck) mendRest(ctx context.Context) error {
	done := func(damage storagelocal.Damage, err error) {
		if err != nil {
			d.print.line("not repaired: %s: %v", damage, err)
			return
		}
		d.repaired++
		d.print.line("repaired: " + damage.String())
	}
	if err := d.data.queue.Repair(ctx, queuelocal.Repairs{DropDamaged: d.dropDamaged, Done: done}); err != nil {
		return err
	}
	return d.data.store.Repair(ctx, d.plan, storagelocal.Repairs{
		Others: []storagelocal.References{d.data.queue.References}, DropDamaged: d.dropDamaged, Done: done,
	})
}
