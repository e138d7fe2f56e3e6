package inflate

// lengths are the code lengths at the beginning of a dynamic block (RFC 1951
// §3.2.7) while they come.
type lengths struct {
	lits, dists, order int                      // how many there are of each
	read               int                      // of order first, then of both others
	all                [maxLits + maxDists]byte // those of the code of code lengths first
	coded              bool                     // the code of code lengths is known
}

// orderOf is in which order the lengths of the code of code lengths come.
var orderOf = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func (l *lengths) begin(lits, dists, order int) {
	*l = lengths{lits: lits, dists: dists, order: order}
}

// readLengths reads what there is of the lengths and makes the codes of the
// block when all are there.
func (d *Decoder) readLengths() bool {
	l := &d.lens
	if d.own == nil {
		d.own = new([2]code)
	}
	if !l.coded {
		for ; l.read < l.order; l.read++ {
			if d.fill(); d.n < 3 {
				return false
			}
			l.all[orderOf[l.read]] = byte(d.take(3))
		}
		if !d.own[0].set(l.all[:len(orderOf)]) {
			return d.fail()
		}
		l.coded, l.read, l.all = true, 0, [maxLits + maxDists]byte{}
	}
	for l.read < l.lits+l.dists {
		if !d.readLength() {
			return false
		}
	}
	if !d.own[0].set(l.all[:l.lits]) || !d.own[1].set(l.all[l.lits:l.lits+l.dists]) {
		return d.fail()
	}
	d.lit, d.far, d.state = &d.own[0], &d.own[1], inBlock
	return true
}

// readLength reads one length, or one that is repeated.
func (d *Decoder) readLength() bool {
	l := &d.lens
	d.fill()
	sym, used := d.own[0].decode(d.bits, d.n)
	if used == 0 {
		return d.starved(d.n)
	}
	if sym < 16 {
		d.take(used)
		l.all[l.read] = byte(sym)
		l.read++
		return true
	}
	base, extra, value := 3, uint(2), byte(0)
	switch sym {
	case 16:
		if l.read == 0 {
			return d.fail()
		}
		value = l.all[l.read-1]
	case 17:
		extra = 3
	case 18:
		base, extra = 11, 7
	}
	if used+extra > d.n {
		return false
	}
	d.take(used)
	n := base + d.take(extra)
	if l.read+n > l.lits+l.dists {
		return d.fail()
	}
	for range n {
		l.all[l.read] = value
		l.read++
	}
	return true
}
