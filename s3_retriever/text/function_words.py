"""The commonest words that say nothing by themselves, of languages in Latin letters.

They tell the language of a text, and are left out of its words. In lower case; of words with an
elision (``l'église``) the parts stand here. The names are those of the stemmers of Snowball.
"""

from __future__ import annotations

_WORDS = {
    "english": """
a about after again all also am an and any are as at be been before being between both but by can
could did do does during each for from had has have he her him his how i if in into is it its may me
might more most must my no nor not of off on only or other our out over own same shall she should so
some such than that the their them then there these they this those to too under up us very was we
were what when where which while who whom whose why will with would you your
""",
    "german": """
aber als am an auch auf aus bei beim bin bis da das dass dem den der des die dies diese dieser doch
du durch ein eine einem einen einer eines er es für gegen hat hatte hatten ich ihm ihn ihr ihre im
in ins ist ja kann kein keine man mein mit nach nicht noch nur ob oder ohne schon sehr sein seine
sich sie sind so über um und uns unter vom von vor war waren warum was weil welche welcher welches
wem wen wenn wer werden wie wieder wird wo wurde wurden zu zum zur zwischen
""",
    "french": """
a ai ainsi après au aussi autre aux avait avant avec c ce ces cet cette ceux chez comme comment d
dans de depuis des deux dont du elle elles en entre est et était étaient être eux il ils j je l la
le les leur leurs lors lui m mais même n ne nos notre nous on ont ou où par pas pendant peut plus
pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se ses si son sont sous sur
t très tu un une vers vos votre vous y
""",
    "spanish": """
a al algo antes aquel así aunque cada como cómo con cual cuál cuáles cuando cuándo cuánto de del
desde después donde dónde durante e el él ella ellas ellos en entre era eran es esa ese eso esta
está están estas este esto estos fue fueron ha había han hasta hay la las le les lo los más me mi
muy ni no nos o otra otro para pero por porque qué que quien quién quienes se según ser si sí sin
sobre son su sus también tan tiene todo todos tu un una unos uno y ya yo
""",
    "italian": """
a ad agli ai al alla alle allo anche c che chi ci come con cosa cui d da dagli dai dal dalla dalle
degli dei del dell della delle dello di dopo dove e è ed era erano essere fra fu gli ha hanno i il
in io l la le lei li lo loro lui ma mi mia mio nei nel nell nella nelle nello non o ogni per perché
però più prima qual quale quali quando quanto quella quello questa queste questi questo se si sia
sono sta su sua sue sugli sul sull sulla sulle suo suoi tra tutti un una uno
""",
    "portuguese": """
a à ao aos aquela aquele as às até cada com como da das de dela dele depois do dos e é ela elas ele
eles em entre era eram essa esse esta está este eu foi foram há isso isto já lhe mais mas me mesmo
meu muito na não nas nem no nos o onde os ou para pela pelas pelo pelos por porque porquê qual quais
quando quanto que quem são se sem ser seu seus sobre sua suas só também tem tinha todos um uma umas
uns você
""",
    "catalan": """
a al als amb aquell aquella aquest aquesta aquests cada com d de del dels des doncs durant e el ell
ella ells els en entre era eren és està et fins ha han hi i ja l la les li lo m més molt n na ni no
nom o on ona per perquè però qual quan quant que què qui s sense ser seu seva seus seves si sobre
són també tan té tot tots un una uns va van
""",
    "dutch": """
aan al als ben bij dan dat de der deze die dit door dus een en er had hadden heb hebben heeft hem
het hij hoe hun ik in is je kan maar me meer men met mijn na naar niet nog nu of om omdat onder ons
ook op over te tegen ten ter toen tot tussen u uit van veel voor waar waarom wanneer waren was wat
we welke werd werden wie wij worden wordt ze zich zij zijn zo zonder zou
""",
    "swedish": """
alla att av bara blev bli den denna dess det detta dig där då efter ej eller en ett från för ha hade
han hans har henne hennes hon hur här i inte jag kan kunde man med mellan men mig min mot mycket ni
nu när något några och om oss på sedan sig sin sina sitt ska skulle som så till under upp ut utan
vad var varför vart vem vi vid vilka vilken vilket är över
""",
    "danish": """
ad af alle at blev blive bliver da de dem den denne der deres det dette dig din dog du efter eller
en er et for fra få før ham han hans har have havde hende hendes her hos hun hvad hvem hver hvilke
hvilken hvilket hvor hvordan hvorfor hvornår i ikke ind jeg kan kunne man med meget mellem men mig
min mod nogle nogen når nu og også om op os over på se sig sin sine sit skal skulle som til ud uden
under var ved vi vil ville være
""",
    "norwegian": """
alle at av bare ble bli blir da de deg dem den denne der deres det dette du eller en er et ett etter
for fra før ha hadde han hans har henne hennes her hos hun hva hvem hver hvilke hvilken hvilket hvor
hvordan hvorfor i ikke inn jeg kan kunne man med meg mellom men min mot mye må når noe noen nå og
også om opp oss over på se seg sin sine sitt skal skulle som så til under ut uten var ved vi vil
ville være å
""",
    "finnish": """
en ei eivät ennen että he heidän hän hänen ja jo joka joiden jonka jos jossa jota jotka kanssa koska
kuin kuinka kuka kun kuten me mikä mikäli miksi milloin minä missä mistä mitä mitkä mutta mukaan
myös ne niiden niin niitä noin nyt ole olen oli olivat ollut on ovat saa se sekä sen siellä siinä
sillä sinä sitä te tai tämä tämän tätä tässä vaan vai vain voi voidaan vuonna
""",
    "hungarian": """
a abban ahol ahogy aki akik alatt amely amelyek ami amikor az azok azon azt azután be benne csak de
e ebben egy egyik egyes el előtt és ez ezek ezt fel ha hanem hogy hogyan hol honnan illetve is itt
jó ki kik kinek kit le lehet lesz lett majd már más meg mely melyik mert mi mikor milyen mind mint
mit miért nagy nagyon ne nem nincs olyan ott ő ők pedig s sem szerint után vagy van vannak volt
voltak
""",
    "romanian": """
a acea această acest acesta aceste acestei acestui ai al ale alt am ar are asta au avea că care când
cât ce cea cel cele cei cine cu cum da dar de decât deci despre din după ea ei el ele era erau este
fără fi fie fost i iar îi îl în între însă la le lor lui mai mult ne ni noi nu o ori pe pentru până
prin sa sale sau să se si și sunt sub și te toate tot unde un unei unor unui va vor ș
""",
    "turkish": """
acaba ama ancak arasında aynı az bana bazı beri ben bile bir biri biz böyle bu buna bunu bunun çok
çünkü da daha de değil diğer diye dolayı en gibi göre hangi hem henüz hep her hiç için ile ise kaç
kadar karşı ki kim kime kimin mi mı mu mü nasıl ne neden nerede niçin niye o olan olarak oldu olduğu
olduğunu olur ona onlar onu onun orada ortak öyle rağmen sadece sonra siz şey şu tarafından tüm var
ve veya ya yani yok
""",
    "indonesian": """
ada adalah agar akan antara apa apakah atas atau bagaimana bagi bahwa banyak beberapa belum berapa
bisa dalam dan dapat dari daripada dengan di dia hanya harus hingga ia ini itu jika juga kami kapan
karena ke kemudian kepada ketika kita lagi lain lebih mana masih mereka merupakan mengapa namun oleh
pada para pun saat saja sangat saya sebagai sebelum sebuah secara sedang sehingga sejak selama semua
seorang seperti serta setelah siapa suatu sudah tanpa telah tentang terhadap tersebut tetapi tidak
untuk yang
""",
    "polish": """
a aby ale bez był była było były być bo ci co czy dla do gdy gdzie go i ich ile im inne iż ja jak
jako jakie jaki jednak jego jej jest jeszcze już kiedy kto która które którego której który których
lub ma mi może mu na nad nie niż o od on ona one oni oraz po pod ponieważ przed przez przy są się
tak także tam te tego tej ten to też tych tylko tym u w we więc wszystko z za został została ze że
""",
    "czech": """
a aby aj ale ani až bez by byl byla byli bylo být co což do ho i já jak jako jaký jaká je jeho jej
její jejich jen ještě již jsem jsou k kam kde kdo kdy kdyby když která které kterého který kteří ke
ku ma má mezi mi mu na nad nebo není než o od on ona oni po pod podle pro proč proto před přes při s
se si sice so svou své ta tak také tam te ten této to toho tím tu u v ve však z za ze že
""",
    "serbian": """
a ali bi bila bile bili bilo bio biti bez da do gde gdje ga i ih ili im iz ja je jer još kada kad
kako kao ko kod koja koje kojeg koji kojih koju ju li među mi mu na nad nakon ne nego nije njega
njegov njen njih o od on ona oni ono ova ovaj ovo po pod pre pri prije s sa samo se su sve svoj što
šta ta taj tako te ti tko to toga u uz već više za zašto zbog
""",
    "estonian": """
aga alates all ei enne et ega ehk enam ent ise ja jaoks juba ka kas kes kelle kogu koos kui kuid
kuidas kuna kus kuni kõik läbi ma me mida mille millal millest millega mis miks mitte mõne need nagu
neid nende ning nii nüüd oli olid olla olnud oma on ole pole pärast seda see selle sellest siin siis
ta tema teda tuli või vaid veel vastu välja üks üle
""",
    "lithuanian": """
apie ar arba bei bet būti buvo čia dar dėl iki ir iš į ja jau jei jis ji jų jo jos juos kad kada kai
kaip kam kas kiek kiti ko kodėl kur kuri kurie kuriame kuris kurį kurios labai mes net nei nes nėra
nors nuo o pagal pas per po prie prieš su ta tačiau tada tai taip taip tarp ten tik to tuo už yra
""",
    "irish": """
a ach ag agus air an ar arna as atá bhí bhfuil cá cad cathain cé chuig chun conas d dá dár de do don
é eile faoi fad féin fuair gach gan go gur i iad idir is í le leis mar más mé na nach ní níl nó
nuair ó ón os raibh roimh sa san sé seo sí sin siad sna tá tar tú um
""",
    "basque": """
al ala arabera arte asko bai baina baino bat batean baten batek batzuk bera berak bere beste bezala
da dago dela den dira direla dituen du duen dute dituzte egin egiten ere eta ez ezin ezen gabe gero
gure hain hau hauek hori honen horren izan izango izaten ko non noiz nor nork norekin nola oso
ondoren orain zein zen zer zergatik zion ziren zituen zuen zuten
""",
    "esperanto": """
al ankaŭ antaŭ apud aŭ ĉar ĉe ĉi ĉio ĉiu ĉiuj ĉu da de do dum el en estas esti estis estos ĝi ĝia
ĝis havas havis ili ilia inter iom ja jam kaj ke kia kial kiam kie kiel kies kio kiom kiu kiuj kiun
kun la laŭ li lia mi mia ne nek ni nia nur ol oni per plej pli plu po por post pri pro sed sen ses
si ŝi ŝia sia sub sur tamen tia tial tie tiel tio tiu tiuj tra tre tro unu vi
""",
}

FUNCTION_WORDS = {language: frozenset(own.split()) for language, own in _WORDS.items()}
"""By language, English first."""
