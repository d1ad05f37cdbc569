"""Words that say nothing by themselves, which no search asks for."""

from __future__ import annotations

_ENGLISH = """
a about after again all also am an and any are as at be been before being between both but by can
could did do does during each for from had has have he her him his how i if in into is it its may me
might more most must my no nor not of off on only or other our out over own same shall she should so
some such than that the their them then there these they this those to too under up us very was we
were what when where which while who whom whose why will with would you your
"""
_RUSSIAN = """
а без более бы был была были было быть в вам вас весь во вот все всего всех вы где да даже для до
его ее её если есть еще ещё же за здесь и из или им их к как какая какие каким какого какой какую
когда кого кому который которая которое которые кто куда ли либо между меня мне мной мы на над надо
нам нас не него нее неё ней нет ни них но ну о об однако он она они оно от откуда по под почему
при про с со сам сколько так такой также там те тем то того тоже той только том ты у уже хотя
чего чей чем чему через что чтобы чья эта эти это этого этой этом этот я
"""
_GREEK = """
ο η το οι τα του της των τον την τους τις και κι σε στο στη στην στον στα στις στους από με για που
πού πως πώς ποιος ποια ποιο ποιοι τι είναι ήταν να θα δεν δε μη μην ως αν ή αλλά ένα ένας μια μία
"""
_ARABIC = """
في من إلى على عن مع هذا هذه ذلك تلك التي الذي الذين ما ماذا متى أين كيف هل كم لماذا هو هي هم كان
كانت أن إن أو ثم قد لا لم لن كل بعد قبل بين عند
"""
_HINDI = """
का की के को में से पर है हैं था थी थे और या यह वह ये वे कि जो ने तक भी ही हो क्या कब कहाँ कहां कौन
कैसे क्यों किस किसने कितने कितना कितनी लिए साथ एक इस उस
"""

STOP_WORDS = frozenset(f"{_ENGLISH} {_RUSSIAN} {_GREEK} {_ARABIC} {_HINDI}".split())
"""In lower case. Of other languages in Latin letters none is here: many are words in English."""
