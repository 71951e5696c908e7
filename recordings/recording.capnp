# SPDX-License-Identifier: GPL-2.0-only
#
# A recording: one run of one scenario, complete enough to be run again by anybody.
#
# The file
# ========
# All integers little-endian. These 28 bytes keep their meaning in every future format.
#
#   offset  size  what
#        0     8  magic: 89 'I' 'L' 'F' 0d 0a 1a 0a (shows at once when a transfer changed line ends)
#        8     8  xxh64, seed 0, of everything from offset 16 to the end of the file
#       16     2  format: number of the format the writer knew
#       18     2  required reader: a reader with a lower number must refuse the file
#       20     4  payload size: bytes of the payload
#       24     4  stored size: bytes that follow. Equal to the payload size: they are the payload.
#                 Smaller: they are the payload as one raw deflate stream (RFC 1951)
#       28     -  payload: one `Recording` as a Cap'n Proto stream message in packed encoding
#
# Evolution
# =========
# Fields are only added, at the end, and mean "as before" when absent; adding one raises `format`.
# Only a change that makes an old reader replay wrongly raises `required reader`. A change in what
# the engine does, with the same fields, is a new entry in `quirks`.
#
# Strings
# =======
# All strings are in one table, `strings`, and everything else holds indices into it: 0 is the empty
# string, i is the ith of the table. The table is, for each string, its length as LEB128 and its
# bytes. Strings have no further form; most are UTF-8. Those in lists, and kernel, persona and
# strategy, are names of at most 128 bytes. Lists have at most 65536 rows.
# No string is an absolute path; no number is a clock value or an address.

@0xc845ee92604cad7f;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("interleaf::wire");

using String = UInt16;

struct Recording {
  # The string table, as `stringCode` says; it has `stringsSize` bytes when expanded.
  strings @0 :Data;
  stringsSize @1 :UInt32;
  stringCode @2 :StringCode;

  # Who wrote it, for people: program version and commit. Never interpreted.
  toolVersion @3 :String;

  # What ran. The text is the whole YAML file, so that a recording outlives a change of the scenario;
  # the digest is xxh64, seed 0, of the text, to say whether today's scenario is still the same.
  scenarioName @4 :String;
  scenarioText @5 :String;
  scenarioDigest @6 :UInt64;

  # On which kernel. `patches` is what was in effect, sorted: preset plus `with` minus `without`.
  # The other two are what the user asked for.
  kernel @7 :String;
  patches @8 :List(String);
  patchesWith @9 :List(String);
  patchesWithout @10 :List(String);
  persona @11 :String;
  settings @12 :List(Setting);

  # How the schedule was found. Information only: replay needs neither.
  strategy @13 :String;
  seed @14 :UInt64;

  # The choices, one byte each, in the order in which they were made. Below 0x40: the id of the task
  # chosen where more than one could run. From 0x80: the value of a data choice, plus 0x80. The
  # bytes between are reserved.
  #
  # `choiceAlphabet` has the distinct bytes by first appearance, n of them. `choiceRuns` is a bit
  # stream, lowest bit of each byte first, of runs of equal bytes: the symbol, then the length.
  #   symbol  absent in the first run (it is alphabet[0]); later an index into the alphabet without
  #           the symbol of the run before, in as many bits as n - 2 needs
  #   length  Elias gamma: k zero bits, a one bit, the k bits below the highest bit of the length
  # It ends when `choiceCount` choices (at most 2^24) are there; bits left in the last byte are zero.
  choiceCount @15 :UInt64;
  choiceAlphabet @16 :Data;
  choiceRuns @17 :Data;

  # The switches with their landmarks, one column per field, equally long. Row i: at switchSteps[i],
  # switchTasks[i] was about to do switchSites[i] for the nth time, and switchTos[i] ran instead.
  # A step is stored as the difference to the row before; an nth as the difference to the last row
  # above with the same task and site, else as it is. Both modulo 2^64.
  sites @18 :List(Site);
  switchKinds @19 :List(SwitchKind);
  switchSteps @20 :List(UInt64);
  switchTasks @21 :List(String);
  switchSites @22 :List(UInt16);
  switchNths @23 :List(UInt64);
  switchTos @24 :List(String);

  # The data choices of `choices` once more, by landmark.
  dataChoices @25 :List(DataChoice);

  # What came of it. Digests are of all events up to and including that step.
  steps @26 :UInt64;
  checkpoints @27 :List(Checkpoint);
  finalDigest @28 :UInt64;
  verdict @29 :String;  # kebab-case: "clean", "data-loss", "deadlock"
  signature @30 :String;
  evidence @31 :String;

  # How small it is. No `minimality`: it was not minimised, or nothing was proven.
  preemptions @32 :UInt64;
  minimality @33 :Minimality;

  # Behaviour of older engines which a replay of this recording must reproduce. A reader that does not
  # know one of them cannot judge the recording.
  quirks @34 :List(String);

  # Free text, and where the race comes from (message id, syzbot id).
  note @35 :String;
  provenance @36 :String;

  # Format 2. Where the power fails; the finding is what is lost then. No `cut`: it does not fail.
  cut @37 :PowerCut;
  # Which detectors were on, sorted; absent: lock-order and sleep-in-atomic; "none" alone: none.
  detectors @38 :List(String);
}

# Geometry and overrides, as `--set key=value` takes them.
struct Setting {
  key @0 :String;
  value @1 :String;
}

# A place in the ported kernel: the access `access` within `function`.
struct Site {
  function @0 :String;
  access @1 :String;
}

enum StringCode {
  raw @0;
  deflate1 @1;  # a raw deflate stream whose preset dictionary is kStringDictionary1 of the engine
  deflate2 @2;  # the same with kStringDictionary2
}

enum SwitchKind {
  preemption @0;  # the task could have gone on
  block @1;       # the task blocked or ended, and more than one other could run
}

# The nth choice of this kind that the task made.
struct DataChoice {
  task @0 :String;
  kind @1 :String;
  nth @2 :UInt64;
  value @3 :UInt64;
}

# After `steps` steps, with the first `logged` changes of metadata on disk. Block writes are named by
# their number before the cut, from 0: those in the disk's cache that are lost, and those of which
# the first or last `sectors` sectors are on the medium. The rest are landmarks: the last promise
# that was made ("task:call#nth", or nothing), how many block writes and metadata changes there were.
struct PowerCut {
  steps @0 :UInt64;
  logged @1 :UInt32;
  lost @2 :List(UInt32);
  torn @3 :List(TornWrite);
  after @4 :String;
  writes @5 :UInt32;
  records @6 :UInt32;
}

struct TornWrite {
  write @0 :UInt32;
  sectors @1 :UInt32;
  last @2 :Bool;
}

struct Checkpoint {
  step @0 :UInt64;
  digest @1 :UInt64;
}

# The schedule was minimised. All orders with fewer preemptions than `preemptions` were searched and
# do not give the verdict; 0: nothing is known. It is the minimum if the run has no more.
struct Minimality {
  preemptions @0 :UInt64;
  text @1 :String;  # why no more is known; mostly empty

  # From format 2 on: how many orders those were, whether some of them had another finding, and
  # whether no single switch or data choice of the run can be left out.
  orders @2 :UInt64;
  otherFindings @3 :Bool;
  oneMinimal @4 :Bool;
}
