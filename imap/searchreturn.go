package imap

// searchReturns is a set of result options (RFC 4731, RFC 5182, RFC 5267,
// RFC 6203, RFC 9394).
type searchReturns uint16

const (
	returnMin searchReturns = 1 << iota
	returnMax
	returnAll
	returnCount
	returnSave
	returnPartial
	returnUpdate
	returnContext // a hint that the search comes again: headers that were read are kept anyway
	returnRelevancy
)

// returnResults are the options that say which results to tell.
const returnResults = returnMin | returnMax | returnAll | returnCount | returnPartial

var searchOptions = map[string]searchReturns{
	"MIN": returnMin, "MAX": returnMax, "ALL": returnAll, "COUNT": returnCount, "SAVE": returnSave,
	"PARTIAL": returnPartial, "UPDATE": returnUpdate, "CONTEXT": returnContext, "RELEVANCY": returnRelevancy,
}

// options reads RETURN, if it is there, and a space after it.
func (r *searchRequest) options(p *parser) {
	if p.keyword("RETURN") {
		p.space()
		r.extended = true
		p.list(func() { r.option(p) })
		p.space()
	}
	if r.returns&(returnResults|returnSave) == 0 { // RFC 9051 §6.4.4: nothing asked for is ALL
		r.returns |= returnAll
	}
	if r.returns&returnPartial != 0 && r.returns&returnAll != 0 {
		p.fail("PARTIAL can't be used with ALL") // RFC 9394 §3.1
	}
}

func (r *searchRequest) option(p *parser) {
	o, ok := searchOptions[p.word()]
	if !ok {
		p.fail("Unknown RETURN option")
		return
	}
	if o == returnPartial {
		if r.returns&returnPartial != 0 {
			p.fail("PARTIAL can be used only once")
		}
		p.space()
		r.page = p.page()
	}
	r.returns |= o
}

// tellExtended sends ESEARCH (RFC 9051 §7.3.4). more is what else says which
// search it answers.
func (r *searchRequest) tellExtended(s *session, more string, numbers []uint32, found hits) {
	scores := found.scores
	o := &s.out
	o.text(`* ESEARCH (TAG `)
	o.string(s.running.tag)
	o.text(more)
	o.byte(')')
	if r.kind == byUID {
		o.text(" UID")
	}
	item := func(which searchReturns, name string, n uint32) {
		if r.returns&which != 0 {
			o.text(name)
			o.number(uint64(n))
		}
	}
	if n := len(numbers); n > 0 {
		item(returnMin, " MIN ", numbers[0])
		item(returnMax, " MAX ", numbers[n-1])
		if r.returns&returnAll != 0 {
			o.text(" ALL ")
			o.b = appendUIDs(o.b, numbers)
		}
	}
	if r.returns&returnPartial != 0 {
		from, to := r.page.of(len(numbers))
		r.tellPage(o, numbers[from:to])
		if scores != nil {
			scores = scores[from:to]
		}
	}
	item(returnCount, " COUNT ", uint32(len(numbers)))
	if r.returns&returnRelevancy != 0 && len(scores) > 0 {
		o.relevancy(scores)
	}
	if found.modseq != 0 {
		o.text(" MODSEQ ")
		o.number(found.modseq)
	}
	o.end()
}

func (r *searchRequest) tellPage(o *output, numbers []uint32) {
	o.text(" PARTIAL (")
	o.text(r.page.text)
	o.byte(' ')
	if len(numbers) == 0 {
		o.text("NIL")
	} else {
		o.b = appendUIDs(o.b, numbers)
	}
	o.byte(')')
}

// relevancy writes scores in the order of the results (RFC 6203 §4).
func (o *output) relevancy(scores []byte) {
	sep := " RELEVANCY ("
	for _, n := range scores {
		o.text(sep)
		o.number(uint64(max(n, 1)))
		sep = " "
	}
	o.byte(')')
}
