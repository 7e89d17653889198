// Package spice scores captions with SPICE (Anderson et al. 2016): captions
// become scene graphs, and a prediction is judged by the F measure of its tuples
// (objects, attributes, relations) against those of the references.
//
// The numbers are those of the reference, SPICE 1.0 with Stanford CoreNLP 3.6.0,
// because it is the reference that computes them: its jar, in a Java process
// that this package starts, watches and ends. The jar's licence is the AGPL,
// CoreNLP's the GPL; `make setup-spice` fetches both for the user who asks.
//
// # Behaviour
//
// Find looks for Java and the jars, and its errors say what to install. Score
// takes captions tokenised by package ptb, which is what pycocoevalcap hands to
// the jar, and gives each picture's scores, in the order of the items:
//
//   - SPICE itself, All.F, and the same for objects, attributes, relations,
//     cardinalities, colours and sizes. A category of which the references have
//     no tuple has no score.
//   - The set's score is the mean of All.F over the pictures; see Stats, whose
//     digits depend neither on the order of the pictures nor on how they were
//     split among machines. Pictures without a score are left out of it.
//
// The scores are those of a run of the jar on the same pictures in the same order,
// to the last bit, whatever the threads and the heap, as long as one process
// scores them all, without Config.Cache: up to Config.Chunk, if none of them fails.
//
// # A score in a thousand
//
// Where a word's synonyms are two other words of the references, "toilet" beside
// both "bathroom" and "commode", the jar joins it with the one that it comes upon
// first, in an order that goes by numbers which Java deals out as it runs. So the
// score of such a picture depends on what the same process did before: it can
// differ when other pictures are scored with it, or when parses come from a
// cache. Of the 1,000 pictures of pycocoevalcap's example, 0.132895, one did in
// two runs of 500, and in one that filled a cache, and the mean by 0.000006. It is
// so in the reference, and nothing outside the jar can change it.
//
// # What can go wrong, and does not
//
//   - Captions go to the jar in ASCII, with control characters and line breaks
//     replaced by spaces and what is not UTF-8 by U+FFFD.
//   - The time that the parser takes rises with the third power of a sentence's
//     length, and its memory with the second: 180 words took four minutes and
//     6 GB. So a caption is cut after Config.MaxWords words, 80 unless set, and
//     Scores.Cut says so. COCO's captions have 59 at most, and nothing else is
//     ever changed. A model that repeats itself without end is the usual cause.
//   - Every process has a limit of time that goes by what it is given, and is
//     ended by it, by the context's end, and on Linux by the end of this
//     process. Nothing of it stays behind, neither processes nor files.
//   - A parser that runs out of memory would go on with another parse. Java is
//     told to end then instead, so that the heap's size never shows in a score.
//   - When a process fails or takes too long its pictures are scored again in
//     halves, until the one that does it is found. That one has an error and no
//     score; the rest are scored. When Java does not work at all, which a known
//     caption tells, Score returns ErrBroken.
//
// # Cost
//
// A process takes 7 seconds to read its models, then about 45 ms of one core for
// a caption of COCO's, and 1.3 GB with two threads. Parses can be kept, see
// Config.Cache; then captions that were seen before cost next to nothing.
//
// # Differences from the reference
//
// pycocoevalcap's evaluation script pairs the scores, sorted by picture, with the
// ids as they come, so that its scores of single pictures may be another
// picture's. Here a picture has its own. Its mean would be NaN if one score were;
// the jar gives All.F for every picture, 0 where nothing can match.
package spice
