-- A name beside each emoji, for people and for tools whose fonts lack it.
--
-- Of the names that schemas/emoji_aliases.json reads an emoji by, the shortest; of equally short ones the first in the
-- alphabet. Variants with a skin tone have the name of their plain form.
CREATE TABLE analytics.emoji_names (emoji text PRIMARY KEY, shortcode text NOT NULL);
INSERT INTO analytics.emoji_names
SELECT words[n], words[n + 1]
FROM (SELECT regexp_split_to_array('#⃣ hash *⃣ asterisk 0⃣ zero 1⃣ one 2⃣ two 3⃣ three 4⃣ four 5⃣ five 6⃣ six 7⃣ seven 8⃣ eight 9⃣ nine © copyright ® registered ‼ bangbang ⁉ interrobang ™ tm ℹ information ↔ left-right_arrow ↕ arrow_up_down ↖ up-left_arrow
↗ up-right_arrow ↘ down-right_arrow ↙ down-left_arrow ↩ right_arrow_curving_left ↪ arrow_right_hook ⌚ watch ⌛ hourglass ⌨ keyboard ⏏ eject ⏩ fast_forward ⏪ rewind ⏫ fast_up_button ⏬ fast_down_button ⏭ next_track_button
⏮ last_track_button ⏯ play_or_pause_button ⏰ alarm_clock ⏱ stopwatch ⏲ timer_clock ⏳ hourglass_not_done ⏸ pause_button ⏹ stop_button ⏺ record_button Ⓜ m ▪ black_small_square ▫ white_small_square ▶ play_button ◀ arrow_backward
◻ white_medium_square ◼ black_medium_square ◽ white_medium-small_square ◾ black_medium-small_square ☀ sun ☁ cloud ☂ umbrella ☃ snowman ☄ comet ☎ phone ☑ check_box_with_check ☔ umbrella_with_rain_drops ☕ coffee ☘ shamrock ☝ point_up
☠ skull_and_crossbones ☢ radioactive ☣ biohazard ☦ orthodox_cross ☪ star_and_crescent ☮ peace_symbol ☯ yin_yang ☸ wheel_of_dharma ☹ frowning_face ☺ relaxed ♀ female_sign ♂ male_sign ♈ aries ♉ taurus ♊ gemini ♋ cancer ♌ leo ♍ virgo
♎ libra ♏ scorpio ♐ sagittarius ♑ capricorn ♒ aquarius ♓ pisces ♟ chess_pawn ♠ spades ♣ clubs ♥ hearts ♦ diamonds ♨ hotsprings ♻ recycle ♾ infinity ♿ wheelchair ⚒ hammer_and_pick ⚓ anchor ⚔ crossed_swords ⚕ medical_symbol ⚖ scales
⚗ alembic ⚙ gear ⚛ atom_symbol ⚜ fleur-de-lis ⚠ warning ⚡ zap ⚧ transgender_symbol ⚪ white_circle ⚫ black_circle ⚰ coffin ⚱ funeral_urn ⚽ soccer ⚾ baseball ⛄ snowman_without_snow ⛅ partly_sunny ⛈ thunder_cloud_and_rain ⛎ ophiuchus
⛏ pick ⛑ rescue_worker_helmet ⛓ chains ⛓‍💥 broken_chain ⛔ no_entry ⛩ shinto_shrine ⛪ church ⛰ mountain ⛱ parasol_on_ground ⛲ fountain ⛳ golf ⛴ ferry ⛵ boat ⛷ skier ⛸ ice_skate ⛹ person_with_ball ⛹‍♀ basketball_woman
⛹‍♂ basketball_man ⛺ tent ⛽ fuelpump ✂ scissors ✅ white_check_mark ✈ airplane ✉ email ✊ fist ✋ hand ✌ v ✍ writing_hand ✏ pencil2 ✒ black_nib ✔ check_mark ✖ multiply ✝ latin_cross ✡ star_of_david ✨ sparkles ✳ eight-spoked_asterisk
✴ eight-pointed_star ❄ snowflake ❇ sparkle ❌ x ❎ cross_mark_button ❓ question ❔ grey_question ❕ grey_exclamation ❗ exclamation ❣ heart_exclamation ❤ heart ❤‍🔥 heart_on_fire ❤‍🩹 mending_heart ➕ plus ➖ minus ➗ divide ➡ arrow_right
➰ curly_loop ➿ loop ⤴ arrow_heading_up ⤵ arrow_heading_down ⬅ arrow_left ⬆ arrow_up ⬇ arrow_down ⬛ black_large_square ⬜ white_large_square ⭐ star ⭕ o 〰 wavy_dash 〽 part_alternation_mark ㊗ congratulations ㊙ secret 🀄 mahjong 🃏 joker
🅰 a 🅱 b 🅾 o2 🅿 parking 🆎 ab 🆑 cl 🆒 cool 🆓 free 🆔 id 🆕 new 🆖 ng 🆗 ok 🆘 sos 🆙 up 🆚 vs 🇦🇨 flag-ac 🇦🇩 andorra 🇦🇪 flag-ae 🇦🇫 flag-af 🇦🇬 flag-ag 🇦🇮 flag-ai 🇦🇱 albania 🇦🇲 armenia 🇦🇴 angola 🇦🇶 flag-aq 🇦🇷 flag-ar 🇦🇸 flag-as 🇦🇹 austria
🇦🇺 flag-au 🇦🇼 aruba 🇦🇽 flag-ax 🇦🇿 flag-az 🇧🇦 flag-ba 🇧🇧 flag-bb 🇧🇩 flag-bd 🇧🇪 belgium 🇧🇫 flag-bf 🇧🇬 flag-bg 🇧🇭 bahrain 🇧🇮 burundi 🇧🇯 benin 🇧🇱 flag-bl 🇧🇲 bermuda 🇧🇳 brunei 🇧🇴 bolivia 🇧🇶 flag-bq 🇧🇷 brazil 🇧🇸 bahamas 🇧🇹 bhutan
🇧🇻 flag-bv 🇧🇼 flag-bw 🇧🇾 belarus 🇧🇿 belize 🇨🇦 canada 🇨🇨 flag-cc 🇨🇩 flag-cd 🇨🇫 flag-cf 🇨🇬 flag-cg 🇨🇭 flag-ch 🇨🇮 flag-ci 🇨🇰 flag-ck 🇨🇱 chile 🇨🇲 flag-cm 🇨🇳 cn 🇨🇴 flag-co 🇨🇵 flag-cp 🇨🇶 sark 🇨🇷 flag-cr 🇨🇺 cuba 🇨🇻 flag-cv 🇨🇼 curacao
🇨🇽 flag-cx 🇨🇾 cyprus 🇨🇿 czechia 🇩🇪 de 🇩🇬 flag-dg 🇩🇯 flag-dj 🇩🇰 denmark 🇩🇲 flag-dm 🇩🇴 flag-do 🇩🇿 algeria 🇪🇦 flag-ea 🇪🇨 ecuador 🇪🇪 estonia 🇪🇬 egypt 🇪🇭 flag-eh 🇪🇷 eritrea 🇪🇸 es 🇪🇹 flag-et 🇪🇺 eu 🇫🇮 finland 🇫🇯 fiji 🇫🇰 flag-fk 🇫🇲 flag-fm
🇫🇴 flag-fo 🇫🇷 fr 🇬🇦 gabon 🇬🇧 gb 🇬🇩 flag-gd 🇬🇪 flag-ge 🇬🇫 flag-gf 🇬🇬 flag-gg 🇬🇭 ghana 🇬🇮 flag-gi 🇬🇱 flag-gl 🇬🇲 gambia 🇬🇳 guinea 🇬🇵 flag-gp 🇬🇶 flag-gq 🇬🇷 greece 🇬🇸 flag-gs 🇬🇹 flag-gt 🇬🇺 guam 🇬🇼 flag-gw 🇬🇾 guyana 🇭🇰 flag-hk 🇭🇲 flag-hm
🇭🇳 flag-hn 🇭🇷 croatia 🇭🇹 haiti 🇭🇺 flag-hu 🇮🇨 flag-ic 🇮🇩 flag-id 🇮🇪 flag-ie 🇮🇱 israel 🇮🇲 flag-im 🇮🇳 india 🇮🇴 flag-io 🇮🇶 iraq 🇮🇷 iran 🇮🇸 flag-is 🇮🇹 it 🇯🇪 jersey 🇯🇲 flag-jm 🇯🇴 jordan 🇯🇵 jp 🇰🇪 kenya 🇰🇬 flag-kg 🇰🇭 flag-kh 🇰🇮 flag-ki
🇰🇲 comoros 🇰🇳 flag-kn 🇰🇵 flag-kp 🇰🇷 kr 🇰🇼 kuwait 🇰🇾 flag-ky 🇰🇿 flag-kz 🇱🇦 laos 🇱🇧 flag-lb 🇱🇨 flag-lc 🇱🇮 flag-li 🇱🇰 flag-lk 🇱🇷 flag-lr 🇱🇸 flag-ls 🇱🇹 flag-lt 🇱🇺 flag-lu 🇱🇻 latvia 🇱🇾 libya 🇲🇦 flag-ma 🇲🇨 monaco 🇲🇩 flag-md 🇲🇪 flag-me
🇲🇫 flag-mf 🇲🇬 flag-mg 🇲🇭 flag-mh 🇲🇰 flag-mk 🇲🇱 mali 🇲🇲 flag-mm 🇲🇳 flag-mn 🇲🇴 macau 🇲🇵 flag-mp 🇲🇶 flag-mq 🇲🇷 flag-mr 🇲🇸 flag-ms 🇲🇹 malta 🇲🇺 flag-mu 🇲🇻 flag-mv 🇲🇼 malawi 🇲🇽 mexico 🇲🇾 flag-my 🇲🇿 flag-mz 🇳🇦 flag-na 🇳🇨 flag-nc 🇳🇪 niger
🇳🇫 flag-nf 🇳🇬 flag-ng 🇳🇮 flag-ni 🇳🇱 flag-nl 🇳🇴 norway 🇳🇵 nepal 🇳🇷 nauru 🇳🇺 niue 🇳🇿 flag-nz 🇴🇲 oman 🇵🇦 panama 🇵🇪 peru 🇵🇫 flag-pf 🇵🇬 flag-pg 🇵🇭 flag-ph 🇵🇰 flag-pk 🇵🇱 poland 🇵🇲 flag-pm 🇵🇳 flag-pn 🇵🇷 flag-pr 🇵🇸 flag-ps 🇵🇹 flag-pt
🇵🇼 palau 🇵🇾 flag-py 🇶🇦 qatar 🇷🇪 flag-re 🇷🇴 flag-ro 🇷🇸 serbia 🇷🇺 ru 🇷🇼 rwanda 🇸🇦 flag-sa 🇸🇧 flag-sb 🇸🇨 flag-sc 🇸🇩 sudan 🇸🇪 sweden 🇸🇬 flag-sg 🇸🇭 flag-sh 🇸🇮 flag-si 🇸🇯 flag-sj 🇸🇰 flag-sk 🇸🇱 flag-sl 🇸🇲 flag-sm 🇸🇳 flag-sn 🇸🇴 flag-so
🇸🇷 flag-sr 🇸🇸 flag-ss 🇸🇹 flag-st 🇸🇻 flag-sv 🇸🇽 flag-sx 🇸🇾 syria 🇸🇿 flag-sz 🇹🇦 flag-ta 🇹🇨 flag-tc 🇹🇩 chad 🇹🇫 flag-tf 🇹🇬 togo 🇹🇭 flag-th 🇹🇯 flag-tj 🇹🇰 flag-tk 🇹🇱 flag-tl 🇹🇲 flag-tm 🇹🇳 flag-tn 🇹🇴 tonga 🇹🇷 tr 🇹🇹 flag-tt 🇹🇻 tuvalu
🇹🇼 taiwan 🇹🇿 flag-tz 🇺🇦 flag-ua 🇺🇬 uganda 🇺🇲 flag-um 🇺🇳 flag-un 🇺🇸 us 🇺🇾 flag-uy 🇺🇿 flag-uz 🇻🇦 flag-va 🇻🇨 flag-vc 🇻🇪 flag-ve 🇻🇬 flag-vg 🇻🇮 flag-vi 🇻🇳 flag-vn 🇻🇺 flag-vu 🇼🇫 flag-wf 🇼🇸 samoa 🇽🇰 kosovo 🇾🇪 yemen 🇾🇹 flag-yt 🇿🇦 flag-za
🇿🇲 zambia 🇿🇼 flag-zw 🈁 koko 🈂 sa 🈚 u7121 🈯 u6307 🈲 u7981 🈳 u7a7a 🈴 u5408 🈵 u6e80 🈶 u6709 🈷 u6708 🈸 u7533 🈹 u5272 🈺 u55b6 🉐 ideograph_advantage 🉑 accept 🌀 cyclone 🌁 foggy 🌂 closed_umbrella 🌃 night_with_stars 🌄 sunrise_over_mountains
🌅 sunrise 🌆 city_sunset 🌇 sunset 🌈 rainbow 🌉 bridge_at_night 🌊 ocean 🌋 volcano 🌌 milky_way 🌍 earth_africa 🌎 earth_americas 🌏 earth_asia 🌐 globe_with_meridians 🌑 new_moon 🌒 waxing_crescent_moon 🌓 first_quarter_moon 🌔 moon
🌕 full_moon 🌖 waning_gibbous_moon 🌗 last_quarter_moon 🌘 waning_crescent_moon 🌙 crescent_moon 🌚 new_moon_face 🌛 first_quarter_moon_face 🌜 last_quarter_moon_face 🌝 full_moon_face 🌞 sun_with_face 🌟 star2 🌠 stars 🌡 thermometer
🌤 mostly_sunny 🌥 barely_sunny 🌦 partly_sunny_rain 🌧 rain_cloud 🌨 snow_cloud 🌩 lightning 🌪 tornado 🌫 fog 🌬 wind_face 🌭 hotdog 🌮 taco 🌯 burrito 🌰 chestnut 🌱 seedling 🌲 evergreen_tree 🌳 deciduous_tree 🌴 palm_tree 🌵 cactus 🌶 hot_pepper
🌷 tulip 🌸 cherry_blossom 🌹 rose 🌺 hibiscus 🌻 sunflower 🌼 blossom 🌽 corn 🌾 ear_of_rice 🌿 herb 🍀 four_leaf_clover 🍁 maple_leaf 🍂 fallen_leaf 🍃 leaves 🍄 mushroom 🍄‍🟫 brown_mushroom 🍅 tomato 🍆 eggplant 🍇 grapes 🍈 melon 🍉 watermelon
🍊 orange 🍋 lemon 🍋‍🟩 lime 🍌 banana 🍍 pineapple 🍎 apple 🍏 green_apple 🍐 pear 🍑 peach 🍒 cherries 🍓 strawberry 🍔 hamburger 🍕 pizza 🍖 meat_on_bone 🍗 poultry_leg 🍘 rice_cracker 🍙 rice_ball 🍚 rice 🍛 curry 🍜 ramen 🍝 spaghetti 🍞 bread
🍟 fries 🍠 sweet_potato 🍡 dango 🍢 oden 🍣 sushi 🍤 fried_shrimp 🍥 fish_cake 🍦 icecream 🍧 shaved_ice 🍨 ice_cream 🍩 doughnut 🍪 cookie 🍫 chocolate_bar 🍬 candy 🍭 lollipop 🍮 custard 🍯 honey_pot 🍰 cake 🍱 bento 🍲 stew 🍳 cooking
🍴 fork_and_knife 🍵 tea 🍶 sake 🍷 wine_glass 🍸 cocktail 🍹 tropical_drink 🍺 beer 🍻 beers 🍼 baby_bottle 🍽 knife_fork_plate 🍾 champagne 🍿 popcorn 🎀 ribbon 🎁 gift 🎂 birthday 🎃 jack-o-lantern 🎄 christmas_tree 🎅 santa 🎆 fireworks
🎇 sparkler 🎈 balloon 🎉 tada 🎊 confetti_ball 🎋 tanabata_tree 🎌 crossed_flags 🎍 bamboo 🎎 dolls 🎏 flags 🎐 wind_chime 🎑 rice_scene 🎒 backpack 🎓 mortar_board 🎖 medal 🎗 reminder_ribbon 🎙 studio_microphone 🎚 level_slider 🎛 control_knobs
🎞 film_strip 🎟 tickets 🎠 carousel_horse 🎡 ferris_wheel 🎢 roller_coaster 🎣 fishing_pole 🎤 microphone 🎥 movie_camera 🎦 cinema 🎧 headphone 🎨 art 🎩 tophat 🎪 circus_tent 🎫 ticket 🎬 clapper 🎭 performing_arts 🎮 video_game 🎯 dart
🎰 slot_machine 🎱 8ball 🎲 game_die 🎳 bowling 🎴 flower_playing_cards 🎵 musical_note 🎶 notes 🎷 saxophone 🎸 guitar 🎹 musical_keyboard 🎺 trumpet 🎻 violin 🎼 musical_score 🎽 running_shirt 🎾 tennis 🎿 ski 🏀 basketball 🏁 checkered_flag
🏂 snowboarder 🏃 runner 🏃‍♀ running_woman 🏃‍♀‍➡ woman_running_facing_right 🏃‍♂ man-running 🏃‍♂‍➡ man_running_facing_right 🏃‍➡ person_running_facing_right 🏄 surfer 🏄‍♀ surfing_woman 🏄‍♂ man-surfing 🏅 medal_sports 🏆 trophy
🏇 horse_racing 🏈 football 🏉 rugby_football 🏊 swimmer 🏊‍♀ swimming_woman 🏊‍♂ man-swimming 🏋 weight_lifter 🏋‍♀ weight_lifting_woman 🏋‍♂ weight_lifting_man 🏌 golfer 🏌‍♀ golfing_woman 🏌‍♂ golfing_man 🏍 motorcycle 🏎 racing_car
🏏 cricket_game 🏐 volleyball 🏑 field_hockey 🏒 ice_hockey 🏓 ping_pong 🏔 mountain_snow 🏕 camping 🏖 beach_umbrella 🏗 building_construction 🏘 houses 🏙 cityscape 🏚 derelict_house 🏛 classical_building 🏜 desert 🏝 desert_island
🏞 national_park 🏟 stadium 🏠 house 🏡 house_with_garden 🏢 office 🏣 post_office 🏤 european_post_office 🏥 hospital 🏦 bank 🏧 atm 🏨 hotel 🏩 love_hotel 🏪 convenience_store 🏫 school 🏬 department_store 🏭 factory 🏮 lantern 🏯 japanese_castle
🏰 castle 🏳 white_flag 🏳‍⚧ transgender_flag 🏳‍🌈 rainbow-flag 🏴 black_flag 🏴‍☠ pirate_flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿 england 🏴󠁧󠁢󠁳󠁣󠁴󠁿 scotland 🏴󠁧󠁢󠁷󠁬󠁳󠁿 wales 🏵 rosette 🏷 label 🏸 badminton 🏹 bow_and_arrow 🏺 amphora 🐀 rat 🐁 mouse2 🐂 ox 🐃 water_buffalo
🐄 cow2 🐅 tiger2 🐆 leopard 🐇 rabbit2 🐈 cat2 🐈‍⬛ black_cat 🐉 dragon 🐊 crocodile 🐋 whale2 🐌 snail 🐍 snake 🐎 racehorse 🐏 ram 🐐 goat 🐑 ewe 🐒 monkey 🐓 rooster 🐔 chicken 🐕 dog2 🐕‍🦺 service_dog 🐖 pig2 🐗 boar 🐘 elephant 🐙 octopus 🐚 shell
🐛 bug 🐜 ant 🐝 bee 🐞 ladybug 🐟 fish 🐠 tropical_fish 🐡 blowfish 🐢 turtle 🐣 hatching_chick 🐤 baby_chick 🐥 hatched_chick 🐦 bird 🐦‍⬛ crow 🐦‍🔥 phoenix 🐧 penguin 🐨 koala 🐩 poodle 🐪 dromedary_camel 🐫 camel 🐬 dolphin 🐭 mouse 🐮 cow 🐯 tiger
🐰 rabbit 🐱 cat 🐲 dragon_face 🐳 whale 🐴 horse 🐵 monkey_face 🐶 dog 🐷 pig 🐸 frog 🐹 hamster 🐺 wolf 🐻 bear 🐻‍❄ polar_bear 🐼 panda 🐽 pig_nose 🐾 feet 🐿 chipmunk 👀 eyes 👁 eye 👁‍🗨 eye_speech_bubble 👂 ear 👃 nose 👄 lips 👅 tongue 👆 point_up_2
👇 point_down 👈 point_left 👉 point_right 👊 punch 👋 wave 👌 ok_hand 👍 +1 👎 -1 👏 clap 👐 open_hands 👑 crown 👒 womans_hat 👓 glasses 👔 necktie 👕 shirt 👖 jeans 👗 dress 👘 kimono 👙 bikini 👚 womans_clothes 👛 purse 👜 handbag 👝 pouch 👞 shoe
👟 running_shoe 👠 high_heel 👡 sandal 👢 boot 👣 footprints 👤 bust_in_silhouette 👥 busts_in_silhouette 👦 boy 👧 girl 👨 man 👨‍⚕ male-doctor 👨‍⚖ man_judge 👨‍✈ man_pilot 👨‍❤‍👨 man-heart-man 👨‍❤‍💋‍👨 kiss_man_man 👨‍🌾 man_farmer 👨‍🍳 man_cook
👨‍🍼 man_feeding_baby 👨‍🎓 man_student 👨‍🎤 man_singer 👨‍🎨 man_artist 👨‍🏫 man_teacher 👨‍🏭 man_factory_worker 👨‍👦 man-boy 👨‍👦‍👦 man-boy-boy 👨‍👧 man-girl 👨‍👧‍👦 man-girl-boy 👨‍👧‍👧 man-girl-girl 👨‍👨‍👦 man-man-boy 👨‍👨‍👦‍👦 man-man-boy-boy
👨‍👨‍👧 man-man-girl 👨‍👨‍👧‍👦 man-man-girl-boy 👨‍👨‍👧‍👧 man-man-girl-girl 👨‍👩‍👦 man-woman-boy 👨‍👩‍👦‍👦 man-woman-boy-boy 👨‍👩‍👧 man-woman-girl 👨‍👩‍👧‍👦 man-woman-girl-boy 👨‍👩‍👧‍👧 man-woman-girl-girl 👨‍💻 man_technologist
👨‍💼 man_office_worker 👨‍🔧 man_mechanic 👨‍🔬 man_scientist 👨‍🚀 man_astronaut 👨‍🚒 man_firefighter 👨‍🦯 man_with_white_cane 👨‍🦯‍➡ man_with_white_cane_facing_right 👨‍🦰 man_red_hair 👨‍🦱 man_curly_hair 👨‍🦲 bald_man 👨‍🦳 man_white_hair
👨‍🦼 man_in_motorized_wheelchair 👨‍🦼‍➡ man_in_motorized_wheelchair_facing_right 👨‍🦽 man_in_manual_wheelchair 👨‍🦽‍➡ man_in_manual_wheelchair_facing_right 👩 woman 👩‍⚕ female-doctor 👩‍⚖ woman_judge 👩‍✈ woman_pilot 👩‍❤‍👨 woman-heart-man
👩‍❤‍👩 woman-heart-woman 👩‍❤‍💋‍👨 kiss_woman_man 👩‍❤‍💋‍👩 kiss_woman_woman 👩‍🌾 woman_farmer 👩‍🍳 woman_cook 👩‍🍼 woman_feeding_baby 👩‍🎓 woman_student 👩‍🎤 woman_singer 👩‍🎨 woman_artist 👩‍🏫 woman_teacher 👩‍🏭 woman_factory_worker
👩‍👦 woman-boy 👩‍👦‍👦 woman-boy-boy 👩‍👧 woman-girl 👩‍👧‍👦 woman-girl-boy 👩‍👧‍👧 woman-girl-girl 👩‍👩‍👦 woman-woman-boy 👩‍👩‍👦‍👦 woman-woman-boy-boy 👩‍👩‍👧 woman-woman-girl 👩‍👩‍👧‍👦 woman-woman-girl-boy 👩‍👩‍👧‍👧 woman-woman-girl-girl
👩‍💻 woman_technologist 👩‍💼 woman_office_worker 👩‍🔧 woman_mechanic 👩‍🔬 woman_scientist 👩‍🚀 woman_astronaut 👩‍🚒 woman_firefighter 👩‍🦯 woman_with_white_cane 👩‍🦯‍➡ woman_with_white_cane_facing_right 👩‍🦰 woman_red_hair
👩‍🦱 woman_curly_hair 👩‍🦲 bald_woman 👩‍🦳 woman_white_hair 👩‍🦼 woman_in_motorized_wheelchair 👩‍🦼‍➡ woman_in_motorized_wheelchair_facing_right 👩‍🦽 woman_in_manual_wheelchair 👩‍🦽‍➡ woman_in_manual_wheelchair_facing_right 👪 family
👫 couple 👬 men_holding_hands 👭 women_holding_hands 👮 cop 👮‍♀ policewoman 👮‍♂ policeman 👯 dancers 👯‍♀ dancing_women 👯‍♂ dancing_men 👰 bride_with_veil 👰‍♀ woman_with_veil 👰‍♂ man_with_veil 👱 person_blond_hair 👱‍♀ blonde_woman
👱‍♂ man_blond_hair 👲 man_with_gua_pi_mao 👳 man_with_turban 👳‍♀ woman_with_turban 👳‍♂ man-wearing-turban 👴 old_man 👵 old_woman 👶 baby 👷 construction_worker 👷‍♀ construction_worker_woman 👷‍♂ construction_worker_man 👸 princess 👹 ogre
👺 goblin 👻 ghost 👼 angel 👽 alien 👾 alien_monster 👿 imp 💀 skull 💁 person_tipping_hand 💁‍♀ sassy_woman 💁‍♂ sassy_man 💂 guard 💂‍♀ guardswoman 💂‍♂ man_guard 💃 dancer 💄 lipstick 💅 nail_care 💆 massage 💆‍♀ massage_woman 💆‍♂ massage_man
💇 haircut 💇‍♀ haircut_woman 💇‍♂ haircut_man 💈 barber 💉 syringe 💊 pill 💋 kiss 💌 love_letter 💍 ring 💎 gem 💏 couplekiss 💐 bouquet 💑 couple_with_heart 💒 wedding 💓 heartbeat 💔 broken_heart 💕 two_hearts 💖 sparkling_heart 💗 heartpulse
💘 cupid 💙 blue_heart 💚 green_heart 💛 yellow_heart 💜 purple_heart 💝 gift_heart 💞 revolving_hearts 💟 heart_decoration 💠 diamond_with_a_dot 💡 bulb 💢 anger 💣 bomb 💤 zzz 💥 boom 💦 sweat_drops 💧 droplet 💨 dash 💩 poop 💪 muscle 💫 dizzy
💬 speech_balloon 💭 thought_balloon 💮 white_flower 💯 100 💰 moneybag 💱 currency_exchange 💲 heavy_dollar_sign 💳 credit_card 💴 yen 💵 dollar 💶 euro 💷 pound 💸 money_with_wings 💹 chart 💺 seat 💻 laptop 💼 briefcase 💽 minidisc 💾 floppy_disk
💿 cd 📀 dvd 📁 file_folder 📂 open_file_folder 📃 page_with_curl 📄 page_facing_up 📅 date 📆 calendar 📇 card_index 📈 chart_increasing 📉 chart_decreasing 📊 bar_chart 📋 clipboard 📌 pushpin 📍 round_pushpin 📎 paperclip 📏 straight_ruler
📐 triangular_ruler 📑 bookmark_tabs 📒 ledger 📓 notebook 📔 notebook_with_decorative_cover 📕 closed_book 📖 book 📗 green_book 📘 blue_book 📙 orange_book 📚 books 📛 name_badge 📜 scroll 📝 memo 📞 telephone_receiver 📟 pager 📠 fax
📡 satellite_antenna 📢 loudspeaker 📣 mega 📤 outbox_tray 📥 inbox_tray 📦 package 📧 e-mail 📨 incoming_envelope 📩 envelope_with_arrow 📪 mailbox_closed 📫 mailbox 📬 mailbox_with_mail 📭 mailbox_with_no_mail 📮 postbox 📯 postal_horn
📰 newspaper 📱 iphone 📲 calling 📳 vibration_mode 📴 mobile_phone_off 📵 no_mobile_phones 📶 antenna_bars 📷 camera 📸 camera_flash 📹 video_camera 📺 tv 📻 radio 📼 vhs 📽 film_projector 📿 prayer_beads 🔀 shuffle_tracks_button 🔁 repeat
🔂 repeat_one 🔃 arrows_clockwise 🔄 arrows_counterclockwise 🔅 dim_button 🔆 bright_button 🔇 mute 🔈 speaker 🔉 sound 🔊 loud_sound 🔋 battery 🔌 electric_plug 🔍 mag 🔎 mag_right 🔏 locked_with_pen 🔐 locked_with_key 🔑 key 🔒 lock 🔓 unlock
🔔 bell 🔕 no_bell 🔖 bookmark 🔗 link 🔘 radio_button 🔙 back 🔚 end 🔛 on 🔜 soon 🔝 top 🔞 underage 🔟 ten 🔠 capital_abcd 🔡 abcd 🔢 1234 🔣 symbols 🔤 abc 🔥 fire 🔦 flashlight 🔧 wrench 🔨 hammer 🔩 nut_and_bolt 🔪 hocho 🔫 gun 🔬 microscope
🔭 telescope 🔮 crystal_ball 🔯 six_pointed_star 🔰 beginner 🔱 trident 🔲 black_square_button 🔳 white_square_button 🔴 red_circle 🔵 blue_circle 🔶 large_orange_diamond 🔷 large_blue_diamond 🔸 small_orange_diamond 🔹 small_blue_diamond
🔺 small_red_triangle 🔻 small_red_triangle_down 🔼 arrow_up_small 🔽 arrow_down_small 🕉 om 🕊 dove 🕋 kaaba 🕌 mosque 🕍 synagogue 🕎 menorah 🕐 clock1 🕑 clock2 🕒 clock3 🕓 clock4 🕔 clock5 🕕 clock6 🕖 clock7 🕗 clock8 🕘 clock9 🕙 clock10
🕚 clock11 🕛 clock12 🕜 clock130 🕝 clock230 🕞 clock330 🕟 clock430 🕠 clock530 🕡 clock630 🕢 clock730 🕣 clock830 🕤 clock930 🕥 clock1030 🕦 clock1130 🕧 clock1230 🕯 candle 🕰 mantelpiece_clock 🕳 hole 🕴 business_suit_levitating 🕵 detective
🕵‍♀ woman_detective 🕵‍♂ man_detective 🕶 dark_sunglasses 🕷 spider 🕸 spider_web 🕹 joystick 🕺 man_dancing 🖇 paperclips 🖊 pen 🖋 fountain_pen 🖌 paintbrush 🖍 crayon 🖐 hand_with_fingers_splayed 🖕 fu 🖖 spock-hand 🖤 black_heart
🖥 desktop_computer 🖨 printer 🖱 computer_mouse 🖲 trackball 🖼 framed_picture 🗂 card_index_dividers 🗃 card_file_box 🗄 file_cabinet 🗑 wastebasket 🗒 spiral_notepad 🗓 spiral_calendar 🗜 clamp 🗝 old_key 🗞 newspaper_roll 🗡 dagger
🗣 speaking_head 🗨 left_speech_bubble 🗯 right_anger_bubble 🗳 ballot_box 🗺 world_map 🗻 mount_fuji 🗼 tokyo_tower 🗽 statue_of_liberty 🗾 japan 🗿 moai 😀 grinning 😁 grin 😂 joy 😃 smiley 😄 smile 😅 sweat_smile 😆 laughing 😇 innocent
😈 smiling_imp 😉 wink 😊 blush 😋 yum 😌 relieved 😍 heart_eyes 😎 sunglasses 😏 smirk 😐 neutral_face 😑 expressionless 😒 unamused 😓 sweat 😔 pensive 😕 confused 😖 confounded 😗 kissing 😘 kissing_heart 😙 kissing_smiling_eyes
😚 kissing_closed_eyes 😛 face_with_tongue 😜 winking_face_with_tongue 😝 squinting_face_with_tongue 😞 disappointed 😟 worried 😠 angry 😡 pout 😢 cry 😣 persevere 😤 triumph 😥 disappointed_relieved 😦 frowning 😧 anguished 😨 fearful 😩 weary
😪 sleepy 😫 tired_face 😬 grimacing 😭 sob 😮 open_mouth 😮‍💨 face_exhaling 😯 hushed 😰 cold_sweat 😱 scream 😲 astonished 😳 flushed 😴 sleeping 😵 dizzy_face 😵‍💫 face_with_spiral_eyes 😶 no_mouth 😶‍🌫 face_in_clouds 😷 mask 😸 smile_cat
😹 joy_cat 😺 smiley_cat 😻 heart_eyes_cat 😼 smirk_cat 😽 kissing_cat 😾 pouting_cat 😿 crying_cat 🙀 weary_cat 🙁 slightly_frowning_face 🙂 simple_smile 🙂‍↔ head_shaking_horizontally 🙂‍↕ head_shaking_vertically 🙃 upside-down_face
🙄 roll_eyes 🙅 no_good 🙅‍♀ ng_woman 🙅‍♂ ng_man 🙆 ok_woman 🙆‍♀ woman-gesturing-ok 🙆‍♂ ok_man 🙇 bow 🙇‍♀ bowing_woman 🙇‍♂ bowing_man 🙈 see_no_evil 🙉 hear_no_evil 🙊 speak_no_evil 🙋 raising_hand 🙋‍♀ raising_hand_woman
🙋‍♂ man-raising-hand 🙌 raised_hands 🙍 frowning_person 🙍‍♀ frowning_woman 🙍‍♂ frowning_man 🙎 pouting_face 🙎‍♀ pouting_woman 🙎‍♂ man-pouting 🙏 pray 🚀 rocket 🚁 helicopter 🚂 locomotive 🚃 railway_car 🚄 bullettrain_side 🚅 bullet_train
🚆 train2 🚇 metro 🚈 light_rail 🚉 station 🚊 tram 🚋 train 🚌 bus 🚍 oncoming_bus 🚎 trolleybus 🚏 busstop 🚐 minibus 🚑 ambulance 🚒 fire_engine 🚓 police_car 🚔 oncoming_police_car 🚕 taxi 🚖 oncoming_taxi 🚗 car 🚘 oncoming_automobile 🚙 blue_car
🚚 truck 🚛 articulated_lorry 🚜 tractor 🚝 monorail 🚞 mountain_railway 🚟 suspension_railway 🚠 mountain_cableway 🚡 aerial_tramway 🚢 ship 🚣 rowboat 🚣‍♀ rowing_woman 🚣‍♂ rowing_man 🚤 speedboat 🚥 traffic_light 🚦 vertical_traffic_light
🚧 construction 🚨 rotating_light 🚩 triangular_flag 🚪 door 🚫 prohibited 🚬 smoking 🚭 no_smoking 🚮 litter_in_bin_sign 🚯 no_littering 🚰 potable_water 🚱 non-potable_water 🚲 bike 🚳 no_bicycles 🚴 bicyclist 🚴‍♀ biking_woman 🚴‍♂ biking_man
🚵 mountain_bicyclist 🚵‍♀ mountain_biking_woman 🚵‍♂ man-mountain-biking 🚶 walking 🚶‍♀ walking_woman 🚶‍♀‍➡ woman_walking_facing_right 🚶‍♂ man-walking 🚶‍♂‍➡ man_walking_facing_right 🚶‍➡ person_walking_facing_right 🚷 no_pedestrians
🚸 children_crossing 🚹 mens 🚺 womens 🚻 restroom 🚼 baby_symbol 🚽 toilet 🚾 wc 🚿 shower 🛀 bath 🛁 bathtub 🛂 passport_control 🛃 customs 🛄 baggage_claim 🛅 left_luggage 🛋 couch_and_lamp 🛌 sleeping_bed 🛍 shopping 🛎 bellhop_bell 🛏 bed
🛐 place_of_worship 🛑 stop_sign 🛒 shopping_cart 🛕 hindu_temple 🛖 hut 🛗 elevator 🛘 landslide 🛙 lighthouse 🛜 wireless 🛝 playground_slide 🛞 wheel 🛟 ring_buoy 🛠 hammer_and_wrench 🛡 shield 🛢 oil_drum 🛣 motorway 🛤 railway_track
🛥 motor_boat 🛩 small_airplane 🛫 flight_departure 🛬 flight_arrival 🛰 satellite 🛳 passenger_ship 🛴 scooter 🛵 motor_scooter 🛶 canoe 🛷 sled 🛸 flying_saucer 🛹 skateboard 🛺 auto_rickshaw 🛻 pickup_truck 🛼 roller_skate 🟠 orange_circle
🟡 yellow_circle 🟢 green_circle 🟣 purple_circle 🟤 brown_circle 🟥 red_square 🟦 blue_square 🟧 orange_square 🟨 yellow_square 🟩 green_square 🟪 purple_square 🟫 brown_square 🟰 heavy_equals_sign 🤌 pinched_fingers 🤍 white_heart
🤎 brown_heart 🤏 pinching_hand 🤐 zipper-mouth_face 🤑 money-mouth_face 🤒 face_with_thermometer 🤓 nerd_face 🤔 thinking 🤕 face_with_head-bandage 🤖 robot 🤗 hugs 🤘 metal 🤙 call_me_hand 🤚 raised_back_of_hand 🤛 fist_left 🤜 fist_right
🤝 handshake 🤞 crossed_fingers 🤟 love-you_gesture 🤠 cowboy_hat_face 🤡 clown_face 🤢 nauseated_face 🤣 rofl 🤤 drooling_face 🤥 lying_face 🤦 facepalm 🤦‍♀ woman-facepalming 🤦‍♂ man-facepalming 🤧 sneezing_face 🤨 raised_eyebrow
🤩 star-struck 🤪 zany_face 🤫 shushing_face 🤬 cursing_face 🤭 hand_over_mouth 🤮 face_vomiting 🤯 exploding_head 🤰 pregnant_woman 🤱 breast-feeding 🤲 palms_up_together 🤳 selfie 🤴 prince 🤵 person_in_tuxedo 🤵‍♀ woman_in_tuxedo
🤵‍♂ man_in_tuxedo 🤶 mrs_claus 🤷 shrug 🤷‍♀ woman-shrugging 🤷‍♂ man-shrugging 🤸 cartwheeling 🤸‍♀ woman-cartwheeling 🤸‍♂ man-cartwheeling 🤹 juggling 🤹‍♀ woman-juggling 🤹‍♂ man-juggling 🤺 fencer 🤼 wrestlers 🤼‍♀ woman-wrestling
🤼‍♂ man-wrestling 🤽 water_polo 🤽‍♀ woman-playing-water-polo 🤽‍♂ man-playing-water-polo 🤾 handball 🤾‍♀ woman-playing-handball 🤾‍♂ man-playing-handball 🤿 diving_mask 🥀 wilted_flower 🥁 drum 🥂 clinking_glasses 🥃 tumbler_glass 🥄 spoon
🥅 goal_net 🥇 1st_place_medal 🥈 2nd_place_medal 🥉 3rd_place_medal 🥊 boxing_glove 🥋 martial_arts_uniform 🥌 curling_stone 🥍 lacrosse 🥎 softball 🥏 flying_disc 🥐 croissant 🥑 avocado 🥒 cucumber 🥓 bacon 🥔 potato 🥕 carrot 🥖 baguette_bread
🥗 green_salad 🥘 shallow_pan_of_food 🥙 stuffed_flatbread 🥚 egg 🥛 milk_glass 🥜 peanuts 🥝 kiwifruit 🥞 pancakes 🥟 dumpling 🥠 fortune_cookie 🥡 takeout_box 🥢 chopsticks 🥣 bowl_with_spoon 🥤 cup_with_straw 🥥 coconut 🥦 broccoli 🥧 pie
🥨 pretzel 🥩 cut_of_meat 🥪 sandwich 🥫 canned_food 🥬 leafy_green 🥭 mango 🥮 moon_cake 🥯 bagel 🥰 smiling_face_with_hearts 🥱 yawning_face 🥲 smiling_face_with_tear 🥳 partying_face 🥴 woozy_face 🥵 hot_face 🥶 cold_face 🥷 ninja
🥸 disguised_face 🥹 face_holding_back_tears 🥺 pleading_face 🥻 sari 🥼 lab_coat 🥽 goggles 🥾 hiking_boot 🥿 flat_shoe 🦀 crab 🦁 lion 🦂 scorpion 🦃 turkey 🦄 unicorn 🦅 eagle 🦆 duck 🦇 bat 🦈 shark 🦉 owl 🦊 fox 🦋 butterfly 🦌 deer 🦍 gorilla
🦎 lizard 🦏 rhinoceros 🦐 shrimp 🦑 squid 🦒 giraffe 🦓 zebra 🦔 hedgehog 🦕 sauropod 🦖 t-rex 🦗 cricket 🦘 kangaroo 🦙 llama 🦚 peacock 🦛 hippopotamus 🦜 parrot 🦝 raccoon 🦞 lobster 🦟 mosquito 🦠 microbe 🦡 badger 🦢 swan 🦣 mammoth 🦤 dodo 🦥 sloth
🦦 otter 🦧 orangutan 🦨 skunk 🦩 flamingo 🦪 oyster 🦫 beaver 🦬 bison 🦭 seal 🦮 guide_dog 🦯 white_cane 🦰 red_hair 🦱 curly_hair 🦲 bald 🦳 white_hair 🦴 bone 🦵 leg 🦶 foot 🦷 tooth 🦸 superhero 🦸‍♀ superhero_woman 🦸‍♂ man_superhero
🦹 supervillain 🦹‍♀ supervillain_woman 🦹‍♂ man_supervillain 🦺 safety_vest 🦻 ear_with_hearing_aid 🦼 motorized_wheelchair 🦽 manual_wheelchair 🦾 mechanical_arm 🦿 mechanical_leg 🧀 cheese 🧁 cupcake 🧂 salt 🧃 beverage_box 🧄 garlic 🧅 onion
🧆 falafel 🧇 waffle 🧈 butter 🧉 mate 🧊 ice 🧋 bubble_tea 🧌 troll 🧍 person_standing 🧍‍♀ standing_woman 🧍‍♂ man_standing 🧎 kneeling_person 🧎‍♀ kneeling_woman 🧎‍♀‍➡ woman_kneeling_facing_right 🧎‍♂ kneeling_man
🧎‍♂‍➡ man_kneeling_facing_right 🧎‍➡ person_kneeling_facing_right 🧏 deaf_person 🧏‍♀ deaf_woman 🧏‍♂ deaf_man 🧐 monocle_face 🧑 adult 🧑‍⚕ health_worker 🧑‍⚖ judge 🧑‍✈ pilot 🧑‍🌾 farmer 🧑‍🍳 cook 🧑‍🍼 person_feeding_baby 🧑‍🎄 mx_claus
🧑‍🎓 student 🧑‍🎤 singer 🧑‍🎨 artist 🧑‍🏫 teacher 🧑‍🏭 factory_worker 🧑‍💻 technologist 🧑‍💼 office_worker 🧑‍🔧 mechanic 🧑‍🔬 scientist 🧑‍🚀 astronaut 🧑‍🚒 firefighter 🧑‍🤝‍🧑 people_holding_hands 🧑‍🦯 person_with_white_cane
🧑‍🦯‍➡ person_with_white_cane_facing_right 🧑‍🦰 person_red_hair 🧑‍🦱 person_curly_hair 🧑‍🦲 bald_person 🧑‍🦳 person_white_hair 🧑‍🦼 person_in_motorized_wheelchair 🧑‍🦼‍➡ person_in_motorized_wheelchair_facing_right
🧑‍🦽 person_in_manual_wheelchair 🧑‍🦽‍➡ person_in_manual_wheelchair_facing_right 🧑‍🧑‍🧒 family_adult_adult_child 🧑‍🧑‍🧒‍🧒 family_adult_adult_child_child 🧑‍🧒 family_adult_child 🧑‍🧒‍🧒 family_adult_child_child 🧑‍🩰 ballet_dancer 🧒 child
🧓 older_adult 🧔 person_beard 🧔‍♀ woman_beard 🧔‍♂ man_beard 🧕 woman_with_headscarf 🧖 sauna_person 🧖‍♀ sauna_woman 🧖‍♂ sauna_man 🧗 climbing 🧗‍♀ climbing_woman 🧗‍♂ climbing_man 🧘 lotus_position 🧘‍♀ lotus_position_woman
🧘‍♂ lotus_position_man 🧙 mage 🧙‍♀ mage_woman 🧙‍♂ mage_man 🧚 fairy 🧚‍♀ fairy_woman 🧚‍♂ fairy_man 🧛 vampire 🧛‍♀ vampire_woman 🧛‍♂ man_vampire 🧜 merperson 🧜‍♀ mermaid 🧜‍♂ merman 🧝 elf 🧝‍♀ elf_woman 🧝‍♂ elf_man 🧞 genie 🧞‍♀ genie_woman
🧞‍♂ genie_man 🧟 zombie 🧟‍♀ woman_zombie 🧟‍♂ man_zombie 🧠 brain 🧡 orange_heart 🧢 billed_cap 🧣 scarf 🧤 gloves 🧥 coat 🧦 socks 🧧 red_envelope 🧨 firecracker 🧩 jigsaw 🧪 test_tube 🧫 petri_dish 🧬 dna 🧭 compass 🧮 abacus 🧯 fire_extinguisher
🧰 toolbox 🧱 brick 🧲 magnet 🧳 luggage 🧴 lotion_bottle 🧵 thread 🧶 yarn 🧷 safety_pin 🧸 teddy_bear 🧹 broom 🧺 basket 🧻 roll_of_paper 🧼 soap 🧽 sponge 🧾 receipt 🧿 nazar_amulet 🩰 ballet_shoes 🩱 one-piece_swimsuit 🩲 briefs 🩳 shorts
🩴 thong_sandal 🩵 light_blue_heart 🩶 grey_heart 🩷 pink_heart 🩸 drop_of_blood 🩹 adhesive_bandage 🩺 stethoscope 🩻 x-ray 🩼 crutch 🪀 yo-yo 🪁 kite 🪂 parachute 🪃 boomerang 🪄 magic_wand 🪅 pinata 🪆 nesting_dolls 🪇 maracas 🪈 flute 🪉 harp
🪊 trombone 🪋 meteor 🪌 eraser 🪍 net_with_handle 🪎 treasure_chest 🪏 shovel 🪐 ringed_planet 🪑 chair 🪒 razor 🪓 axe 🪔 diya_lamp 🪕 banjo 🪖 military_helmet 🪗 accordion 🪘 long_drum 🪙 coin 🪚 carpentry_saw 🪛 screwdriver 🪜 ladder 🪝 hook
🪞 mirror 🪟 window 🪠 plunger 🪡 sewing_needle 🪢 knot 🪣 bucket 🪤 mouse_trap 🪥 toothbrush 🪦 headstone 🪧 placard 🪨 rock 🪩 mirror_ball 🪪 identification_card 🪫 low_battery 🪬 hamsa 🪭 folding_hand_fan 🪮 hair_pick 🪯 khanda 🪰 fly 🪱 worm
🪲 beetle 🪳 cockroach 🪴 potted_plant 🪵 wood 🪶 feather 🪷 lotus 🪸 coral 🪹 empty_nest 🪺 nest_with_eggs 🪻 hyacinth 🪼 jellyfish 🪽 wing 🪾 leafless_tree 🪿 goose 🫀 anatomical_heart 🫁 lungs 🫂 people_hugging 🫃 pregnant_man 🫄 pregnant_person
🫅 person_with_crown 🫆 fingerprint 🫈 hairy_creature 🫌 monarch_butterfly 🫍 orca 🫎 moose 🫏 donkey 🫐 blueberries 🫑 bell_pepper 🫒 olive 🫓 flatbread 🫔 tamale 🫕 fondue 🫖 teapot 🫗 pouring_liquid 🫘 beans 🫙 jar 🫚 ginger_root 🫛 pea_pod
🫜 root_vegetable 🫝 pickle 🫟 splatter 🫠 melting_face 🫡 saluting_face 🫢 face_with_open_eyes_and_hand_over_mouth 🫣 face_with_peeking_eye 🫤 face_with_diagonal_mouth 🫥 dotted_line_face 🫦 biting_lip 🫧 bubbles 🫨 shaking_face
🫩 face_with_bags_under_eyes 🫪 distorted_face 🫫 cracking_face 🫯 fight_cloud 🫰 hand_with_index_finger_and_thumb_crossed 🫱 rightwards_hand 🫲 leftwards_hand 🫳 palm_down_hand 🫴 palm_up_hand 🫵 index_pointing_at_the_viewer 🫶 heart_hands
🫷 leftwards_pushing_hand 🫸 rightwards_pushing_hand 🫹 leftwards_thumb_sign 🫺 rightwards_thumb_sign', '[ \n]')) AS listed (words), generate_series(1, cardinality(words), 2) AS n;

CREATE OR REPLACE VIEW analytics.top_reactions AS
SELECT x.workspace_id, d.day_utc, x.emoji, x.reactions AS count, x.distinct_users,
       CASE WHEN x.emoji LIKE ':%' THEN btrim(x.emoji, ':') ELSE n.shortcode END AS shortcode
FROM analytics.calendar d
CROSS JOIN LATERAL (
    SELECT f.workspace_id, f.emoji, count(*)::int AS reactions, count(DISTINCT f.user_id)::int AS distinct_users
    FROM (
        SELECT coalesce(c.workspace_id, (SELECT m.workspace_id FROM analytics.messages m
                                         WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at))
                   AS workspace_id,
               r.emoji, r.user_id
        FROM collab.message_reactions r LEFT JOIN collab.channels c ON c.channel_id = r.channel_id
        WHERE r.first_added_at >= d.starts_at AND r.first_added_at < d.ends_at
    ) AS f
    GROUP BY f.workspace_id, f.emoji
) AS x
LEFT JOIN analytics.emoji_names n ON n.emoji = regexp_replace(x.emoji, '[🏻-🏿]', '', 'g');

COMMENT ON TABLE analytics.emoji_names IS 'A name for each emoji.
deletes: –
bots: –
late: –';
COMMENT ON COLUMN analytics.emoji_names.emoji IS 'Canonical emoji, without skin tone.';
COMMENT ON COLUMN analytics.emoji_names.shortcode IS 'Its shortest name, without colons.';
COMMENT ON COLUMN analytics.top_reactions.shortcode IS 'Name of the emoji without colons, of its plain form where it has a skin tone; null for one that has no name.';
GRANT SELECT ON analytics.emoji_names TO tailrace_analyst, tailrace_worker;
