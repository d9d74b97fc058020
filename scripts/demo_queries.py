"""Sixty things that a newcomer might type into the demo, and which emoji answer them sensibly.

A pattern says what words of their names begin with.

Written by hand before any model was asked; no text of the training is made from them.
"""

EVERYDAY = {
    "the ocean": "wave|surf|fish|whale|shark|dolphin|ocean|sail|coral|shell|octopus|island|beach|swim|mermaid|merm",
    "something to eat for breakfast": "pancake|egg|bacon|croissant|waffle|bagel|cooking|bread|cereal|"
    "bowl with spoon|milk|hot beverage|fork",
    "a happy dog": "dog(?!.*hot)|poodle|guide dog|service dog|paw",
    "people playing soccer": "soccer|goal net|stadium|american football",
    "a fast red car": "automobile|racing car|taxi|sport utility",
    "it is raining outside": "rain|umbrella|droplet|cloud|thunder",
    "i am so tired": "tired|weary|sleep|yawn|bags under|bed|zzz",
    "time to go to bed": "bed|sleep|zzz|yawn|moon|night",
    "musical instruments": "guitar|violin|trumpet|drum|saxophone|piano|keyboard|flute|banjo|accordion|maracas|"
    "musical|harp|trombone",
    "a scary monster": "ogre|goblin|ghost|alien|zombie|vampire|skull|troll|jack-o",
    "the flag of japan": "flag: japan",
    "something to drink in the morning": "hot beverage|milk|teapot|teacup|beverage|glass of milk|mate",
    "a birthday party for kids": "birthday|party|balloon|wrapped gift|confetti|piñata",
    "fresh fruit": "apple|banana|grape|melon|pear|peach|cherr|strawberr|mango|pineapple|kiwi|lemon|lime|"
    "tangerine|blueberr|watermelon|tomato|coconut",
    "an animal that lives on a farm": r"cow|pig|horse|ewe|ram\b|goat|rooster|chick|duck|ox\b|farmer|tractor|"
    r"donkey|rabbit|turkey",
    "a place where you can see the stars": "star|milky|night|telescope|ringed planet|full moon|crescent moon|"
    "shooting|camping",
    "going on vacation by plane": "airplane|luggage|departure|arrival|beach|airport|baggage|ticket|small airplane",
    "somebody who fixes teeth": "tooth|health worker|toothbrush|doctor",
    "i love you": "heart|love|kiss|smiling face with heart",
    "a cold winter day": r"snow|cold|ice\b|ice skate|gloves|scarf|skis|skier",
    "my computer is broken": "laptop|computer|desktop|keyboard|technologist|printer|computer|trackball",
    "a big green tree": "tree|palm|evergreen|deciduous|plant|leaf|herb",
    "women dancing": "danc|ballet|bunny ears|women with bunny",
    "what a doctor needs": "stethoscope|syringe|pill|health worker|hospital|thermometer|bandage|x-ray|medical|lab coat",
    "the baby is crying": "cry|loudly|baby|sob|holding back tears",
    "pizza and beer": "pizza|beer",
    "how to send a letter": "envelope|letter|mail|postbox|post office|e-mail|inbox|stamp",
    "i want to cook dinner": "cook|shallow pan|pot of food|knife|spoon|fork|plate|bento|spaghetti|chef",
    "a castle from a fairy tale": "castle|fairy|princess|prince|dragon|unicorn|mage|crown",
    "a very angry man": "angry|enraged|pouting|anger|steam|symbols on mouth|face with open mouth vomiting",
    "riding a bike in the mountains": "bik|bicycle|mountain|cycl",
    "tools for building a house": r"hammer|wrench|screwdriver|carpentry|brick|construction|toolbox|ladder|"
    r"nut and bolt|house|building construction|pick\b|axe",
    "money in the bank": "money|bank|dollar|euro|pound|yen|coin|credit card|atm|heavy dollar",
    "spiders and other bugs": r"spider|bug|ant\b|beetle|lady beetle|fly\b|mosquito|cockroach|honeybee|butterfly|"
    r"worm|cricket\b",
    "a hot cup of coffee": "hot beverage|coffee|teacup|teapot|mate",
    "a present for christmas": "gift|christmas|santa|claus|wrapped",
    "what time is it": r"clock|watch|timer|stopwatch|hourglass|o’clock|\w+ o’clock|\w+-thirty",
    "learning at school": "school|book|student|teacher|graduation|backpack|pencil|notebook|abacus|memo|crayon",
    "getting married": r"wedding|ring\b|veil|tuxedo|couple|kiss|person with veil",
    "a fish swimming in the sea": r"fish|shark|whale|dolphin|octopus|squid|swimming|blowfish|seal\b|spouting|"
    r"tropical fish|jellyfish",
    "delicious ice cream": "ice cream|soft ice|shaved ice",
    "i cannot hear you": r"deaf|ear\b|muted|hearing|loudspeaker|speaker",
    "fire in the building": r"fire\b|fire engine|fire extinguisher|firefighter|man firefighter",
    "winning first place": "1st|medal|trophy|winn|star-struck|ribbon",
    "dangerous snakes": "snake|danger|crocodile|lizard|dragon|skull|warning|biohazard",
    "put it in the trash": "waste|litter|recycl|wastebasket",
    "fly me to the moon": "moon|rocket|astronaut|saucer|satellite",
    "he is ill and has a fever": "thermometer|medical mask|sick|nauseated|vomit|bandage|sneez|hot face|unwell|"
    "cold face",
    "clothes for the summer": "shirt|t-shirt|shorts|dress|sandal|one-piece|bikini|sunglasses|billed cap|thong|women’s",
    "sweet things for dessert": r"cake|candy|chocolate|cookie|doughnut|ice cream|soft ice|shaved ice|lollipop|"
    r"custard|pie\b|honey pot|cupcake|dango|shortcake",
    "a lion in the jungle": "lion|tiger|leopard|monkey|gorilla|elephant|palm tree",
    "watching a movie": "cinema|movie|film|clapper|popcorn|movie camera|television|projector|camera|ticket",
    "the mouse eats cheese": r"mouse face|mouse\b|cheese|rat\b|hamster",
    "a lovely bunch of flowers": "bouquet|flower|rose|tulip|blossom|hibiscus|sunflower|lotus|hyacinth|rosette|bloom",
    "catching the train to work": "train|railway|metro|tram|station|bullet|high-speed|locomotive|briefcase|monorail",
    "turn off the sound": "muted|speaker|bell with slash|shushing|mobile phone off",
    "keep it secret": r"locked|lock|key\b|shushing|zipper|secret|hand over mouth|ninja|detective",
    "a cowboy on his horse": "cowboy|horse",
    "fresh vegetables from the market": "carrot|broccoli|corn|potato|leafy|cucumber|eggplant|onion|garlic|"
    "pepper|bell pepper|tomato|green salad|pea pod|root vegetable|beans",
    "i have a question": "question|thinking|person raising|raising hand|exclamation question|shrugging",
}
