"""What the choice's page looks like beyond a run's page: verdicts, small drawings, cards on a small screen."""

STYLE = """
#verdict p.pick {
  display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .6rem; margin: 0 0 .8rem; padding: .5rem .9rem;
  background: var(--band); border-left: 4px solid var(--good);
}
#verdict p.pick b { color: var(--ink); font-size: 1.5rem; font-weight: 650; letter-spacing: -.01em; }
#arms .who { min-width: 17rem; }
#arms th.num { white-space: normal; max-width: 9rem; }
#arms .who .why { display: block; color: var(--soft); font-size: .8rem; line-height: 1.35; margin: .1rem 0 .25rem; }
#arms td { vertical-align: top; padding-top: .45rem; padding-bottom: .3rem; }
#arms .status { padding-right: 1rem; }
tr.chosen td { background: var(--band); }
tr.chosen td:first-child { box-shadow: inset 4px 0 var(--good); padding-left: .8rem; }
tr.chosen .status, tr.chosen .arm { font-weight: 650; }
.shape.chosen, .shape.until { color: var(--good); }
.shape.worse, .shape.outside { color: var(--bad); }
.shape.open, .shape.eligible { color: var(--mark); }
svg line.margin { stroke: var(--bad); stroke-dasharray: 5 3; stroke-width: 1.4; }
#against .drawn { width: 62%; min-width: 8rem; }
#against th[scope=row] { border-bottom: 1px solid var(--rule); vertical-align: middle; white-space: normal; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1.2rem 2rem; }
.curves figure { margin: 0; }
.curves h3 { margin: 0 0 .3rem; }
.curves svg { display: block; width: 100%; max-width: 26rem; height: auto; }
.curves figcaption { margin-top: .3rem; }
path.curve { fill: none; stroke: var(--mark); stroke-width: 1.4; }
path.fit { fill: none; stroke: var(--warm); stroke-width: 1.4; stroke-dasharray: 6 3; }
svg line.beyond { stroke: var(--warm); stroke-width: 1.6; }
#advice p.first, #advice p { max-width: 62rem; margin: .35rem 0; }
#figures th[scope=rowgroup] { padding-top: .9rem; border-bottom: 1px solid var(--ink); }
#figures tbody th[scope=row] { font-weight: 400; color: var(--soft); border-bottom: 1px solid var(--rule); }
#figures table { margin-bottom: .4rem; }
.cards { display: none; }
.cards dl {
  display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, max-content); gap: .1rem .8rem; margin: .3rem 0 .8rem;
}
.cards dt { color: var(--soft); }
.cards dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.cards dt.group { grid-column: 1 / -1; margin-top: .45rem; color: var(--ink); font-weight: 600; }
.cards summary { padding: .35rem 0; border-bottom: 1px solid var(--rule); cursor: pointer; }
.cards summary span { color: var(--soft); }
@media screen and (min-width: 1000px) { #arms .who { min-width: 30rem; } }
@media screen and (max-width: 640px) {
  tr.chosen td:first-child { padding-left: 0; box-shadow: none; }
  #arms tr.chosen { background: var(--band); box-shadow: -.5rem 0 var(--band), .5rem 0 var(--band); }
  #arms .who { max-width: none; padding-right: 5.5rem; }
  #arms .who .why { margin-right: -5.5rem; }
  #arms .status { top: .3rem; padding-right: 0; }
  #arms td { padding: 0; white-space: normal; }
  #against th.drawn, #against td.drawn { min-width: 6rem; padding-right: 1.2rem; }
  #against th[scope=row] { overflow-wrap: anywhere; min-width: 4.5rem; }
  #arms td.none { display: none; }
  #arms tr { padding: .5rem 0; }
  #figures .wide { display: none; }
  .cards { display: block; }
}
@media print { .cards { display: none; } }
"""
