"""Makes testdata/golden/metrics: what pycocoevalcap and sacrebleu say of invented captions.

Run from the repository's root with the packages of testdata/requirements.txt and a Java on the path:

    python testdata/metrics.py

The captions are made up here, by seed. Every file is JSON, packed with gzip.

    tokens.json.gz      captions and their tokens, each caption by itself
    lines.json.gz       captions and their tokens, read one after the other as one file
    characters.json.gz  ranges of characters of the BMP and the tokens of "a?b 1?2 ? x?", with the character as ?
    thirteen.json.gz    texts and what sacrebleu's tokeniser 13a makes of them
    scores.json.gz      sets of pictures and their scores
"""
import contextlib
import gzip
import io
import json
import math
import os
import random
import re
import subprocess
import tempfile

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "metrics")
JAR = os.path.join(os.path.dirname(ptbtokenizer.__file__), ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
BREAKS = re.compile("[\n\r\v\f\u2028\u2029]")


def save(name, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(OUT, name + ".json.gz"), "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as f:
        f.write(text.encode())
    print(name, os.path.getsize(os.path.join(OUT, name + ".json.gz")), "bytes")


# --- the tokeniser ---------------------------------------------------------------------------------------------------

def tokenize(captions, alone):
    """Runs the jar as pycocoevalcap does; with alone, a neutral line parts the captions."""
    captions = [BREAKS.sub(" ", c) for c in captions]
    lines = [x for c in captions for x in (c, "x")] if alone else captions
    with tempfile.NamedTemporaryFile("w", newline="", encoding="utf-8") as f:
        f.write("\n".join(lines))
        f.flush()
        command = ["java", "-cp", JAR, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", f.name]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    out = out.split("\n")[: len(lines)]
    out += [""] * (len(lines) - len(out))
    if alone:
        assert all(x == "x" for x in out[1::2]), "a caption ran on into the next line"
        out = out[::2]
    return [" ".join(w for w in line.rstrip().split(" ") if w not in ptbtokenizer.PUNCTUATIONS) for line in out]


# --- invented captions -----------------------------------------------------------------------------------------------

WHO = """a dog;two dogs;a small brown dog;the cat;a black-and-white cat;an old man;a woman;the woman's son;three children;
a girl in a red T-shirt;Mr. Smith;Dr. Jones;a man who can't swim;somebody's grandmother;a 3-year-old boy;the U.S. team;
an 8-ft. giraffe;a pair of zebras;St. Bernard puppies;the jack-o'-lantern;a bride and groom;a bus (number 42);
a man/woman;both men;nobody;a police officer;a rock'n'roll band;O'Brien's horse""".replace("\n", "").split(";")
DOES = """sits;is sitting;runs quickly;doesn't move;is riding a bike;are eating pizza;holds an umbrella;plays frisbee;
looks at a clock reading 9:30am;cannot sleep;is gonna jump;waits for the no. 5 bus;wears a "funny" hat;eats 1/2 a pizza;
paid $5.00 for it;reads www.example.com;smiles :-);is talking on a cell phone;swims - badly -;drinks coffee & tea;
has 22 3/4 apples;won't stop!!;carries 1,000 balloons;skis down the hill""".replace("\n", "").split(";")
WHERE = """on a beach;in the park;next to a fire hydrant;near a stop sign;at 5 o'clock;under the table;on Main St.;
in Washington, D.C.;by the sea...;in front of the "Eiffel Tower";on top of a hill;between two cars;with a kite;
in the kitchen;on grass;at night;in black/white;near the water's edge;in New York;behind a fence;;;""".replace("\n", "").split(";")
END = [".", ".", ".", "", "", "!", "?", " .", "..", "...", "?!", ";", '"', " ", ". "]
HARD = r"""can't¦CAN'T¦don't¦don’t¦won`t¦I'm¦I'd've¦it's¦its'¦dogs'¦dog’s¦y'all¦'tis¦'twas¦o'clock¦ma'am¦'em¦'n'¦rock 'n' roll¦
'90s¦’90s¦'90¦the 1990's¦cannot¦Cannot¦gonna¦wanna¦gotta¦gimme¦lemme¦d'you¦c'mon¦ne'er-do-well¦l'eau¦d'Artagnan¦
T-shirt¦x-ray¦well-known¦mother-in-law's¦and/or¦w/o¦b/w¦his/her/their¦24/7¦F/A-18¦a_b¦under_score¦re-enter¦-dash¦dash-¦--¦---¦
-----¦a--b¦a – b¦a—b¦a‐b¦co-op¦Mr.¦mrs.¦Ms.¦Dr.¦St.¦Jan.¦Jan.1¦Inc.¦Inc.'s¦etc.¦etc.,¦e.g.¦i.e.¦a.m.¦9 p.m.¦9:00pm¦9:30¦
12:30:45¦U.S.¦U.S.A.'s¦U.S.-based¦non-U.S.¦Ph.D.¦No. 5¦no. x¦fig. 2¦pp. 3-4¦vs.¦Co., Ltd.¦1/2¦1 1/2¦22 3/4¦3/4-inch¦½¦1½¦⅓¦⅝¦
1,000¦1,000.50¦.5¦-5¦+5¦5.5.5¦1.5m¦10%¦50 %¦5ft¦6'2"¦5' 10"¦20th¦1st¦2x4¦4x4¦MP3¦$5¦$5.00¦US$5¦A$¦5$¦£5¦€5¦¥5¦5¢¦#1¦#tag¦##¦
@name¦@¦a@b.com¦<a@b.com>¦http://www.example.com/a?b=c&d=e.¦https://example.org¦www.example.net/x.html¦example.com¦a.b.com¦
photo.jpg¦IMG_001.JPG¦README.txt¦AT&T¦R&B¦a&b¦AT&amp;T¦&amp;¦&lt;b&gt;¦&quot;hi&quot;¦&nbsp;¦&#39;¦&eacute;t&eacute;¦&copy;¦
<b>bold</b>¦<br/>¦<a href="x y">link</a>¦< b¦<3¦x<y¦"quoted"¦“quoted”¦‘quoted’¦«quoted»¦„quoted“¦``quoted''¦'quoted'¦"a¦a"¦''¦""¦
(brackets)¦[square]¦{curly}¦(¦)¦a(b)c¦:)¦:-)¦;-)¦:(¦:D¦=)¦^_^¦(^_^)¦-_-¦T_T¦:-/¦...¦..¦.....¦. . .¦…¦a...b¦wait...what¦?¦!¦??¦!!¦
?!¦a?b¦a!b¦*¦**¦*bold*¦~¦^¦=¦+¦++¦C++¦C#¦A+¦|¦\¦\\¦/¦//¦§¦©¦®¦™¦°¦5°C¦²¦m²¦H₂O¦•¦→¦☃¦★¦😀¦👍🏽¦a😀b¦🇩🇪¦café¦naïve¦São Paulo¦
Übung¦ÉCOLE¦ΑΣ ΣΑΣ¦İstanbul¦Straße¦Привет, мир¦日本語¦한국어¦中文。¦ภาษาไทย¦हिन्दी¦עברית¦العربية؟¦é¦zero​width¦soft­hyphen¦­¦
non breaking¦ideographic　space¦thin space¦tab	tab¦bellchar¦nextline¦ﬁne¦ǅungla¦Kelvin¦١٢٣¦１２３¦ﾊﾝ¦(415) 555-1212¦
415-555-1212¦555.123.4567¦+1 415 555 1212¦12/25/2014¦2014-12-25¦10-20¦1990-1995¦I. The¦p.m. The¦the letter K. The end¦A. He""".replace("\n", "").split("¦")
SPRINKLE = list("abcAB012 .,'-’\"“”()[]<>/&;:!?$#@_*%+=~^|\\…–—éßΣ日½²°€£😀\u00a0\u00ad\u0301\u2009\u3000\t`") + [
    " The ", "'s ", "n't ", "&amp;", ". ", ", ", "...", "--", "/", "<b>", " 1/2", "U.S. "]


def plain(rng):
    parts = [rng.choice(WHO), rng.choice(DOES), rng.choice(WHERE)]
    if rng.random() < 0.2:
        parts += ["while", rng.choice(WHO), rng.choice(DOES)]
    text = " ".join(p for p in parts if p)
    if rng.random() < 0.6:
        text = text[0].upper() + text[1:]
    return text + rng.choice(END)


def hard(rng):
    text = "".join(rng.choice(HARD) + rng.choice([" ", " ", " ", " ", "", ", ", ". ", "-", "\u00a0"]) for _ in range(rng.randint(1, 5)))
    for _ in range(rng.choice([0, 0, 1, 2])):
        i = rng.randrange(len(text) + 1)
        text = text[:i] + rng.choice(SPRINKLE) + text[i:]
    return text


def closed(captions):
    """Drops what would begin a quoted attribute, which the reference may close in another caption."""
    return [c for c in captions if not re.search(r"<[^>]*=\s*['\"]", c)]


# --- scores ----------------------------------------------------------------------------------------------------------

def plain_cider(references, predictions):
    """CIDEr of Vedantam et al. 2015 without clipping, length penalty and stemming, times 10."""
    def grams(text):
        words, counts = text.split(), {}
        for k in range(1, 5):
            for i in range(len(words) - k + 1):
                g = tuple(words[i : i + k])
                counts[g] = counts.get(g, 0) + 1
        return counts

    df = {}
    for refs in references:
        for g in {g for r in refs for g in grams(r)}:
            df[g] = df.get(g, 0) + 1

    def vectors(text):
        out = [{}, {}, {}, {}]
        for g, n in grams(text).items():
            out[len(g) - 1][g] = n * (math.log(len(references)) - math.log(max(1, df.get(g, 0))))
        return out

    def cosine(a, b):
        norm = math.sqrt(math.fsum(x * x for x in a.values())) * math.sqrt(math.fsum(x * x for x in b.values()))
        dot = math.fsum(x * b.get(g, 0) for g, x in a.items())
        return dot / norm if norm else dot

    scores = []
    for refs, prediction in zip(references, predictions):
        p = vectors(prediction)
        total = math.fsum(cosine(p[k], vectors(r)[k]) for r in refs for k in range(4))
        scores.append(10 * total / 4 / len(refs))
    return scores


def score(items):
    """Scores [prediction, references] pairs."""
    predictions = tokenize([p for p, _ in items], alone=False)
    flat = iter(tokenize([r for _, refs in items for r in refs], alone=False))
    references = [[next(flat) for _ in refs] for _, refs in items]
    gts = dict(enumerate(references))
    res = {i: [p] for i, p in enumerate(predictions)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, bleus = Bleu(4).compute_score(gts, res, verbose=0)
        rouge, rouges = Rouge().compute_score(gts, res)
        if any(r.split() for refs in references for r in refs):
            cider, ciders = Cider().compute_score(gts, res)
        else:  # the reference raises an exception
            cider, ciders = 0.0, [0.0] * len(items)
    plains = plain_cider(references, predictions)
    most = max(len(refs) for _, refs in items)
    order = sorted(items, key=lambda it: -len(it[1]))  # sacrebleu wants the first picture to have all its references
    metric = BLEU()
    sacre = metric.corpus_score([p for p, _ in order], [[refs[k] if k < len(refs) else None for _, refs in order] for k in range(most)])
    return {
        "items": items,
        "bleu": bleu, "bleus": bleus, "rouge": rouge, "rouges": list(rouges), "cider": cider, "ciders": list(ciders),
        "plain": math.fsum(plains) / len(plains), "plains": plains,
        "sacrebleu": sacre.score, "signature": str(metric.get_signature()),
    }


def pictures(rng, n, references, caption, near=0.5):
    """n pictures whose predictions are variations of a reference, with the chance near, or another caption."""
    items = []
    for _ in range(n):
        refs = [caption(rng) for _ in range(references(rng))]
        prediction = caption(rng)
        if rng.random() < near:
            prediction = " ".join(w for w in rng.choice(refs).split(" ") if rng.random() < 0.85)
        items.append([prediction, refs])
    return items


def score_sets():
    rng = random.Random(20)
    five, one = lambda r: 5, lambda r: 1
    few = ["", ".", "...", "!!", "dog", "Dog.", "a", "?", "'", '" "', "  ", "-", "(", "a dog"]
    unicode = [h for h in HARD if any(ord(c) > 127 for c in h)]
    same = plain(rng)
    sets = {
        "everyday": pictures(rng, 60, five, plain),
        "hard": pictures(rng, 30, five, hard),
        "one picture": pictures(rng, 1, five, plain),
        "one reference": pictures(rng, 20, one, plain),
        "one picture, one reference": [["A dog runs.", ["A dog runs."]]],
        "fifty references": pictures(rng, 4, lambda r: 50, plain),
        "varying references": pictures(rng, 12, lambda r: r.randint(1, 7), plain),
        "empty and tiny": pictures(rng, 40, lambda r: r.randint(1, 3), lambda r: r.choice(few), near=0.2),
        "all empty": [["", ["", ""]], ["", [""]]],
        "empty predictions": [["", r] for _, r in pictures(rng, 4, five, plain)],
        "unicode": pictures(rng, 20, five, lambda r: " ".join(r.choice(unicode) for _ in range(r.randint(1, 8)))),
        "very long": pictures(rng, 3, lambda r: 2, lambda r: " ".join(plain(r) for _ in range(r.randint(5, 40)))),
        "duplicates": [[same, [same] * 5], [same, [same] * 5], [plain(rng), [same] * 3 + [plain(rng)]]],
        "nothing in common": [["red green blue", ["one two three four"]], ["five", ["six seven"]]],
        "no four in a row": [["a dog runs", ["a dog ran", "dogs run"]], ["the cat", ["a cat sits"]]],
        "repeated words": [["a a a a a a", ["a b", "a a"]], ["the the cat the", ["the cat", "the the dog the"]]],
        "line breaks": [["A dog\nruns", ["A dog\r\nruns.", "A\u2028dog"]], ["a\vcat", ["a\fcat sits", "a cat"]]],
        "next caption": [["The letter K.", ["It reads X.", "no.", "5 cats"]], ["A cat.", ["The cat.", "An I."]], ["letter B.", [" ", "He is."]]],
    }
    return [{"name": name, **score(items)} for name, items in sets.items()]


# --- files -----------------------------------------------------------------------------------------------------------

def characters():
    points = [c for c in range(0x10000) if not 0xD800 <= c < 0xE000 and not BREAKS.match(chr(c))]
    out = []
    for c, tokens in zip(points, tokenize(["a{0}b 1{0}2 {0} x{0}".format(chr(c)) for c in points], alone=True)):
        tokens = tokens.replace(chr(c), "?").replace(chr(c).lower(), "?")
        if out and out[-1][1] == c - 1 and out[-1][2] == tokens:
            out[-1][1] = c
        else:
            out.append([c, c, tokens])
    return out


def main():
    os.makedirs(OUT, exist_ok=True)
    rng = random.Random(11)
    alone = closed(sorted({plain(rng) for _ in range(400)} | set(HARD) | {hard(rng) for _ in range(4000)}))
    save("tokens", list(zip(alone, tokenize(alone, alone=True))))
    lines = closed([rng.choice([plain, hard, lambda r: r.choice(["", " ", "K.", "the letter K.", "The end", "no.", "5", "<b>"])])(rng) for _ in range(1500)])
    save("lines", list(zip(lines, tokenize(lines, alone=False))))
    save("characters", characters())
    thirteen = sorted(set(HARD) | {hard(rng) for _ in range(800)} | {plain(rng) for _ in range(100)} | {"a -\nb", "x-\ny", "<skipped> a", "a.,b", "1.,2", "1-2", "&amp;lt;"})
    tokenizer = Tokenizer13a()
    save("thirteen", [[t, tokenizer(t.rstrip())] for t in thirteen])
    save("scores", score_sets())


if __name__ == "__main__":
    main()
